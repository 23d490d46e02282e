"""What is wrong with a box, and what mends it: pure judgements over snapshots that `survey` takes."""
