"""Which of two worlds a model was trained in: the accuracy of a guess, and the number of records that it is worth."""
