"""From pages to a site: rendering, downloads, citation, single images and the data page."""
