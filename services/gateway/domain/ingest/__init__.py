"""What other systems report in their own protocols, put into Homeostat's words: pure, and safe on any bytes."""
