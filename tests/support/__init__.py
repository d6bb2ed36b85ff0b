"""What several tests share: other people's programs, what this machine can do."""
