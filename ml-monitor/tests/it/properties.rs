use ml_monitor::{
    DriftDetector, KolmogorovSmirnov, KsParams, PopulationStability, PsiParams, Reference, ReferenceParams, Sample,
    drift::report::Finding,
};
use proptest::prelude::*;

/// Coarse numbers, so that ties are common.
fn values() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-40_i32..40).prop_map(|v| f64::from(v) / 4.0), 1..200)
}

fn sample(values: &[f64]) -> Sample {
    Sample::new().with_numbers("x", values.iter().copied()).expect("one column")
}

fn freeze(values: &[f64]) -> Reference {
    Reference::freeze(&sample(values), &ReferenceParams::default()).expect("there are rows")
}

fn ks(reference: &[f64], current: &[f64]) -> Finding {
    let detector = KolmogorovSmirnov::new(KsParams::default()).expect("in range");
    let report = detector.compare(&freeze(reference), &sample(current)).expect("columns fit");
    report.columns[0].findings[0].clone()
}

fn psi(reference: &[f64], current: &[f64]) -> Finding {
    let detector = PopulationStability::new(PsiParams { min_rows: 1, ..PsiParams::default() }).expect("in range");
    let report = detector.compare(&freeze(reference), &sample(current)).expect("columns fit");
    report.columns[0].findings[0].clone()
}

/// The statistic by its definition: the distance at every value there is.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let share = |values: &[f64], x: f64| values.iter().filter(|&&v| v <= x).count() as f64 / values.len() as f64;
    a.iter().chain(b).map(|&x| (share(a, x) - share(b, x)).abs()).fold(0.0, f64::max)
}

proptest! {
    #[test]
    fn ks_is_the_greatest_distance(a in values(), b in values()) {
        let statistic = ks(&a, &b).statistic.expect("defined");
        prop_assert!((statistic - distance(&a, &b)).abs() < 1e-12);
    }

    #[test]
    fn ks_is_symmetric(a in values(), b in values()) {
        let (forth, back) = (ks(&a, &b), ks(&b, &a));
        prop_assert_eq!(forth.statistic, back.statistic);
        let (forth, back) = (forth.p_value.expect("defined"), back.p_value.expect("defined"));
        prop_assert!((forth - back).abs() <= 1e-12 * forth);
    }

    #[test]
    fn ks_does_not_see_what_keeps_the_order(a in values(), b in values()) {
        let bend = |values: &[f64]| values.iter().map(|v| v.powi(3) * 8.0 - 5.0).collect::<Vec<_>>();
        prop_assert_eq!(ks(&a, &b), ks(&bend(&a), &bend(&b)));
    }

    #[test]
    fn psi_of_the_same_values_is_zero(a in values()) {
        let finding = psi(&a, &a);
        prop_assert_eq!(finding.statistic, Some(0.0));
        prop_assert_eq!(finding.p_value, Some(1.0));
    }

    #[test]
    fn psi_is_never_below_zero(a in values(), b in values()) {
        let finding = psi(&a, &b);
        prop_assert!(finding.statistic.expect("defined") >= 0.0);
        prop_assert!((0.0..=1.0).contains(&finding.p_value.expect("defined")));
    }

    #[test]
    fn the_order_of_rows_does_not_matter(a in values(), b in values(), seed in any::<u64>()) {
        let mut shuffled = b.clone();
        ml_core::Seed::new(seed).stream("rows").shuffle(&mut shuffled);
        prop_assert_eq!(ks(&a, &b), ks(&a, &shuffled));
        prop_assert_eq!(psi(&a, &b), psi(&a, &shuffled));
    }

    #[test]
    fn a_reference_comes_back_from_json_as_it_was(
        numbers in prop::collection::vec(any::<f32>(), 1..300),
        texts in prop::collection::vec(prop::option::of(".{0,20}"), 1..50),
    ) {
        let sample = Sample::new().with_numbers("x", numbers.iter().map(|&v| f64::from(v))).expect("one column");
        let text = Sample::new().with_text("c", texts).expect("one column");
        for sample in [sample, text] {
            let reference = Reference::freeze(&sample, &ReferenceParams::default()).expect("there are rows");
            let json = serde_json::to_vec(&reference).expect("json");
            prop_assert_eq!(serde_json::from_slice::<Reference>(&json).expect("own json"), reference);
        }
    }

    #[test]
    fn any_numbers_give_a_report(
        reference in prop::collection::vec(any::<f64>(), 1..50),
        current in prop::collection::vec(any::<f64>(), 0..50),
    ) {
        ks(&reference, &current);
        psi(&reference, &current);
    }
}
