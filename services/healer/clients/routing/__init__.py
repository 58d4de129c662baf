"""Routes of components: read and set in a configuration file, or at the application's own address."""
