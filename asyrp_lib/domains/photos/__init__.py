"""The paper's own domains of photographs: whose networks, whose images, and how to get them."""
