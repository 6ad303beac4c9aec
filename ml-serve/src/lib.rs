//! ml-serve.
