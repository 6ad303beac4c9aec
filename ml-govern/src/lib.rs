//! Governance of ml-platform: fairness audits, promotion gates and model cards.
//!
//! An [`AuditFrame`] holds decisions, true labels and sensitive attributes; a [`BiasAuditor`] turns it into a
//! [`BiasReport`]; the report travels in the model bundle, where an [`EvidenceGate`] reads it before a version gets an
//! alias. A [`ModelCard`] says in words and numbers what the model is for.
//!
//! `ml-govern` imports only `ml-core`.

pub mod audit_frame;
pub mod bias;
pub mod card;
#[cfg(feature = "conformance")]
pub mod conformance;
mod form;
pub mod gate;

pub use audit_frame::{AuditColumns, AuditFrame};
pub use bias::{BiasAuditor, BiasReport, GroupFairness, GroupFairnessParams};
pub use card::ModelCard;
pub use gate::{All, EvidenceGate, GateParams};
