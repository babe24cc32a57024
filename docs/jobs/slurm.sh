#!/bin/bash
# Trains a network on two machines with eight GPUs each: sbatch docs/jobs/slurm.sh NETWORK, in a clone that both can read.
# params.yaml: compute.devices: 8, compute.nodes: 2. The data must be there: convzoo repro validate weights.
#SBATCH --job-name=convzoo
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=08:00:00
#SBATCH --output=.repro/slurm-%j.log

set -euo pipefail
network=${1:?expected the name of a network}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export PATH="$PWD/.venv/bin:$PATH" PYTHONPATH=src

# One torchrun per machine, which starts one process per GPU. Submitted again, the job continues after the last epoch.
srun --kill-on-bad-exit=1 python -m torch.distributed.run \
  --nnodes="$SLURM_NNODES" --nproc-per-node="$SLURM_GPUS_PER_NODE" --max-restarts=0 \
  --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$first:29400" \
  pipeline/train.py "$network"

# On the first machine: record the outputs in dvc.lock, and run the stages after the training.
python -m dvc commit --force "train@$network"
python -m convzoo repro "register@$network"
