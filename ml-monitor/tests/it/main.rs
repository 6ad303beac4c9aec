//! Integration tests of ml-monitor.

mod drift_detector;
mod golden;
mod hard_cases;
mod monitor;
mod properties;
mod sink;
