"""Projects from templates: made, and kept up to date."""
