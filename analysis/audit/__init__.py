"""The page on which people read suspected labels, without label and prediction."""
