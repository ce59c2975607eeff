"""What speaks to others, loaded when a step needs it: files named after their vendor."""
