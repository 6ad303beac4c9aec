//! Integration tests of ml-govern.

mod audit_frame;
mod bias_auditor;
mod card;
mod edges;
mod gate;
mod golden;
