"""The one boundary: channels that carry Rounds out and Reports back, as bytes, whatever lies between."""
