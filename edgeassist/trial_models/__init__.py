"""Models of random weights in both formats, for the bench and the tests; needs the extra `bench`."""
