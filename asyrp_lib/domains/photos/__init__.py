"""The paper's own domains of photographs: whose networks, whose pictures, and how to get them."""
