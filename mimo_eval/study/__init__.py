"""Studies: several training methods on the same data, folds and seeds, evaluated alike and compared with tests."""
