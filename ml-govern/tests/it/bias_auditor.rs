use ml_govern::{BiasAuditor, GroupFairness, GroupFairnessParams};
use std::sync::Arc;

fn auditor(minimum_rows: u32, confidence: f64) -> GroupFairness {
    GroupFairness::new(GroupFairnessParams { minimum_rows, confidence }).expect("valid")
}

mod group_fairness {
    use super::*;
    ml_govern::bias_auditor_conformance!(async { (auditor(30, 0.95), ()) });
}

mod group_fairness_with_a_low_minimum {
    use super::*;
    ml_govern::bias_auditor_conformance!(async { (auditor(1, 0.5), ()) });
}

mod behind_arc_dyn {
    use super::*;
    ml_govern::bias_auditor_conformance!(async { (Arc::new(auditor(30, 0.95)) as Arc<dyn BiasAuditor>, ()) });
}
