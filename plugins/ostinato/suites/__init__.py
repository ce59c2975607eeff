"""What a table must be like: suites of rules as short YAML, read, checked, drafted and put into SQL."""
