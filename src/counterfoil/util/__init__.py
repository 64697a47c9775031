"""What belongs to no noun: building from configs, records, checkpoints, the command line."""
