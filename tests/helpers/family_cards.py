"""What each family's card must say of the figures in family_outputs."""

EXPECTED = {
    "classifier": [
        "| `test_accuracy` | 40.00 % | 11.76 % to 76.93 % |",
        "Classifies images of the data set shapes into 3 classes (bar, cross, square); 40.0 % of 5 test images correct "
        "(confidence interval 11.8 to 76.9 %).",
        "Rating: failed. The training failed: no better than always predicting `bar`, which is right for 60.00 % of",
        "`square` (0.0 % of 1 image), `bar` (33.3 % of 3 images).",
        "It is wrong on 3 of 5 test images.",
        "It most often takes `bar` for `cross` (2 times), `square` for `bar` (1 time).",
        "`all-1` (a `bar`, predicted as `cross` with 97.0 %), `all-5` (a `square`, predicted as `bar` with 80.0 %)",
        "Wrong predictions with a probability of 90 % or more: 1 of 3.",
        "12.5 % too high or too low on average",
        "60.0 % of the test images are predicted wrongly",
        "convzoo predict {} photo.png",
        "MLflow's model returns `label`, `probability` and all `probabilities`.",
        "Send whole numbers from 0 to 255. MLflow's server casts all other numbers without an error",
    ],
    "transfer": [
        "started from the published weights `tiny`, licence: `Apache-2.0`",
        "Classifies images of the data set shapes into 3 classes (bar, cross, square); 40.0 % of 5 test images correct",
        "Rating: failed. The training failed: no better than always predicting `bar`",
        "`square` (0.0 % of 1 image)",
        "convzoo predict {} photo.png",
    ],
    "autoencoder": [
        "| `test_psnr` | 23.13 dB | 21.50 dB to 24.75 dB |",
        "| `test_image_psnr` | 22.50 dB | 19.15 to 25.85 dB (95 %, the mean) |",
        "Compresses images of the data set shapes (bar, cross, square) to 64 numbers each and reconstructs them; PSNR "
        "23.13 dB on 4 test images (95 % confidence interval 21.50 to 24.75 dB).",
        "Rating: good. Principal component analysis (PCA) with as many numbers reaches 23.06 dB, 0.07 dB less.",
        "`cross` (19.50 dB of 1 image), `square` (21.00 dB of 1 image), `bar` (25.00 dB of 3 images)",
        "`2` (18.00 dB), `0` (22.00 dB)",
        "SSIM is 0.842 (1: the same image); PCA with 64 numbers reaches 0.838",
        "PCA reconstructs 1 of 4 test images with a smaller error than the network",
        "reaches 50.0 % accuracy; guessing reaches 33.3 %",
        "convzoo reconstruct {} photo.png --out reconstructions/",
    ],
    "dcgan": [
        "| `test_kid` | 12.58 | 11.9 to 13.2 |",
        "Generates images like those of the data set shapes (bar, cross, square); distance to the test images (KID, "
        "lower is better) 12.58 (95 % confidence interval 11.9 to 13.2).",
        "Rating: failed. The training failed: recall 0: no real image has a generated one like it.",
        "100.0 % of the test images have no generated one like them (1 - recall); between two sets of real images it "
        "is 20.9 %.",
        "80.9 % of the generated images look like no test image",
        "vary 45.9 % as much",
        "raised 1 alarm, the last: `epoch 3: the samples are alike`",
        "convzoo sample {} --count 16",
    ],
}
