use ml_monitor::{DriftDetector, KolmogorovSmirnov, KsParams, Panel, PopulationStability, PsiParams};
use std::sync::Arc;

fn ks() -> KolmogorovSmirnov {
    KolmogorovSmirnov::new(KsParams::default()).expect("the defaults are in range")
}

fn psi() -> PopulationStability {
    PopulationStability::new(PsiParams::default()).expect("the defaults are in range")
}

fn panel() -> Panel {
    Panel::new(vec![Arc::new(ks()), Arc::new(psi())]).expect("two detectors")
}

mod kolmogorov_smirnov {
    ml_monitor::drift_detector_conformance!(async { (super::ks(), ()) });
}

mod population_stability {
    ml_monitor::drift_detector_conformance!(async { (super::psi(), ()) });
}

mod panel {
    ml_monitor::drift_detector_conformance!(async { (super::panel(), ()) });
}

mod panel_of_panels {
    use super::*;
    ml_monitor::drift_detector_conformance!(async {
        (Panel::new(vec![Arc::new(panel()), Arc::new(psi())]).expect("two detectors"), ())
    });
}

mod arc_dyn {
    use super::*;
    ml_monitor::drift_detector_conformance!(async { (Arc::new(panel()) as Arc<dyn DriftDetector>, ()) });
}

mod box_dyn {
    use super::*;
    ml_monitor::drift_detector_conformance!(async { (Box::new(ks()) as Box<dyn DriftDetector>, ()) });
}

#[test]
fn parameters_out_of_range_are_refused() {
    for threshold in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(KolmogorovSmirnov::new(KsParams { threshold, ..Default::default() }).is_err(), "{threshold}");
        assert!(PopulationStability::new(PsiParams { threshold, ..Default::default() }).is_err(), "{threshold}");
    }
    for alpha in [0.0, 1.0, f64::NAN] {
        assert!(KolmogorovSmirnov::new(KsParams { alpha, ..Default::default() }).is_err(), "{alpha}");
        assert!(PopulationStability::new(PsiParams { alpha, ..Default::default() }).is_err(), "{alpha}");
    }
}
