//! Making groups, datasets and attributes.
