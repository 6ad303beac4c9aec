//! ml-govern.
