// What JavaScript adds to writing: the form works without it.
