"""`homeostat demo`: break the shop in five ways, watch it being healed, and report honestly."""
