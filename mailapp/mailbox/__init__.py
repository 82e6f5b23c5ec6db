"""Your view of mail: folders, counts, what is read, paging."""
