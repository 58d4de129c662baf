"""The eight services of Homeostat and its command line."""
