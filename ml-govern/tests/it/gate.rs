use async_trait::async_trait;
use ml_core::{
    Bundle, Error, ErrorKind, Result, Signature, bundle,
    onnx::OnnxModel,
    port::{Candidate, PromotionGate, Verdict},
    signature::TensorSpec,
    tensor::DType,
};
use ml_govern::{
    All, AuditFrame, BiasAuditor, BiasReport, EvidenceGate, GateParams, GroupFairness, GroupFairnessParams, ModelCard,
    bias::Disparity,
};
use serde_json::json;
use std::sync::Arc;

fn params() -> GateParams {
    GateParams {
        minimum_metrics: [("roc_auc".into(), 0.7)].into(),
        maximum_metrics: [("log_loss".into(), 0.5)].into(),
        fairness: [(Disparity::DemographicParityDifference, 0.1), (Disparity::DemographicParityRatio, 0.8)].into(),
        audited: vec!["sex".into()],
        card_fields: vec!["details.owners".into(), "intended_use".into()],
    }
}

/// Of 100 women `women` are selected, of 100 men 50.
fn audit(women: usize) -> BiasReport {
    let selected = (0..200).map(|i| if i < 100 { i < women } else { i < 150 });
    let sex = (0..200).map(|i| Some(if i < 100 { "F" } else { "M" }));
    let frame = AuditFrame::from_decisions(selected).with_sensitive("sex", sex).expect("a whole frame");
    GroupFairness::new(GroupFairnessParams::default()).and_then(|auditor| auditor.audit(&frame)).expect("rows")
}

fn card() -> ModelCard {
    let mut card = ModelCard::default();
    card.details.owners.push("operations research".into());
    card.intended_use.primary_uses.push("Plan gates.".into());
    card
}

type Files = Vec<(&'static str, Vec<u8>)>;

fn evidence(women: usize) -> Files {
    vec![
        (bundle::METRICS, json!({"roc_auc": 0.75, "log_loss": 0.4}).to_string().into_bytes()),
        (bundle::BIAS, serde_json::to_vec(&audit(women)).expect("JSON")),
        (bundle::CARD, card().to_json().expect("JSON").into_bytes()),
    ]
}

fn candidate(files: Files) -> Candidate {
    let signature = Signature::new(vec![], vec![TensorSpec::batched("y", DType::Fp32, [])]).expect("one output");
    let builder = Bundle::builder(OnnxModel { bytes: vec![8, 8].into(), signature });
    let bundle = files
        .into_iter()
        .try_fold(builder, |builder, (path, bytes)| builder.file(path, bytes))
        .and_then(ml_core::bundle::BundleBuilder::build)
        .expect("a whole bundle");
    Candidate::new(
        "flight-delay".parse().expect("a name"),
        "3".parse().expect("a version"),
        "champion".parse().expect("an alias"),
        bundle,
        None,
    )
}

async fn review(params: GateParams, files: Files) -> Verdict {
    EvidenceGate::new(params).expect("valid").review(&candidate(files)).await.expect("decided")
}

#[tokio::test]
async fn evidence_that_suffices_is_allowed() {
    assert_eq!(review(params(), evidence(48)).await, Verdict::Allow);
}

#[tokio::test]
async fn every_shortcoming_is_named_with_what_was_found_and_asked() {
    let mut files = evidence(30);
    files[0].1 = json!({"roc_auc": 0.65, "log_loss": 0.61}).to_string().into_bytes();
    files[2].1 = ModelCard::default().to_json().expect("JSON").into_bytes();
    let verdict = review(params(), files).await;
    assert!(!verdict.is_allowed());
    assert_eq!(
        verdict.reasons(),
        [
            "metric roc_auc is 0.65, asked for at least 0.7",
            "metric log_loss is 0.61, asked for at most 0.5",
            "demographic parity difference of sex is 0.2000 (F lowest, M highest), asked for at most 0.1",
            "demographic parity ratio of sex is 0.6000 (F lowest, M highest), asked for at least 0.8",
            "the model card says nothing under details.owners",
            "the model card says nothing under intended_use",
        ]
    );
}

#[tokio::test]
async fn missing_evidence_is_a_reason() {
    let verdict = review(params(), vec![]).await;
    assert_eq!(
        verdict,
        Verdict::Refuse(vec![
            "metrics.json is missing from the bundle".into(),
            "audit/bias.json is missing from the bundle".into(),
            "card.json is missing from the bundle".into(),
        ])
    );
    let mut files = evidence(48);
    files[0].1 = json!({"log_loss": null}).to_string().into_bytes();
    let params = GateParams { audited: vec!["sex".into(), "race".into()], ..params() };
    assert_eq!(
        review(params, files).await,
        Verdict::Refuse(vec![
            "metric roc_auc is missing, asked for at least 0.7".into(),
            "metric log_loss is undefined, asked for at most 0.5".into(),
            "the bias report does not audit race".into(),
        ])
    );
}

#[tokio::test]
async fn evidence_that_cannot_be_read_is_a_reason() {
    for damaged in [&b""[..], b"{", b"[]", b"{\"format\": \"1\"}", b"{\"roc_auc\": \"high\"}", &[0xff, 0xfe]] {
        let files = evidence(48).into_iter().map(|(path, _)| (path, damaged.to_vec())).collect();
        let verdict = review(params(), files).await;
        assert!(!verdict.is_allowed());
        assert_eq!(verdict.reasons().len(), 3, "{verdict:?}");
        for (reason, path) in verdict.reasons().iter().zip([bundle::METRICS, bundle::BIAS, bundle::CARD]) {
            assert!(reason.starts_with(&format!("{path} cannot be read: ")), "{reason}");
        }
    }
}

#[tokio::test]
async fn undefined_fairness_is_refused_and_left_out_groups_are_flagged() {
    let undefined =
        GateParams { fairness: [(Disparity::EqualizedOddsDifference, 0.1)].into(), ..GateParams::default() };
    let verdict = review(undefined, evidence(48)).await;
    assert_eq!(
        verdict,
        Verdict::Refuse(vec![
            "equalized odds difference of sex is undefined (true positive rate: fewer than two groups to compare), \
             asked for at most 0.1"
                .into()
        ])
    );

    let selected = (0..205).map(|i| i % 2 == 0);
    let sex = (0..205).map(|i| {
        if i < 100 {
            Some("F")
        } else if i < 200 {
            Some("M")
        } else {
            None
        }
    });
    let frame = AuditFrame::from_decisions(selected).with_sensitive("sex", sex).expect("a whole frame");
    let auditor = GroupFairness::new(GroupFairnessParams::default()).expect("valid");
    let mut files = evidence(48);
    files[1].1 = serde_json::to_vec(&auditor.audit(&frame).expect("rows")).expect("JSON");
    assert_eq!(
        review(params(), files).await,
        Verdict::Flag(vec!["1 of 3 groups of sex have fewer than 30 rows and are not compared".into()])
    );
}

#[tokio::test]
async fn a_report_of_no_attribute_proves_nothing() {
    let mut files = evidence(48);
    let mut report = audit(48);
    report.attributes.clear();
    files[1].1 = serde_json::to_vec(&report).expect("JSON");
    let params = GateParams { audited: vec![], ..params() };
    assert_eq!(review(params, files).await, Verdict::Refuse(vec!["the bias report audits no attribute".into()]));
}

#[test]
fn gates_without_meaning_are_refused() {
    let metric = |limit| GateParams { minimum_metrics: [("x".into(), limit)].into(), ..GateParams::default() };
    let fairness =
        |limit| GateParams { fairness: [(Disparity::DemographicParityRatio, limit)].into(), ..GateParams::default() };
    let field = |field: &str| GateParams { card_fields: vec![field.into()], ..GateParams::default() };
    for params in [
        GateParams::default(),
        metric(f64::NAN),
        metric(f64::INFINITY),
        fairness(1.2),
        fairness(f64::NAN),
        field("details.owner"),
        field(""),
    ] {
        assert_eq!(EvidenceGate::new(params).expect_err("no meaning").kind(), ErrorKind::InvalidInput);
    }
    assert!(serde_json::from_str::<GateParams>(r#"{"minimum_metric": {}}"#).is_err(), "a misspelt demand is no demand");
}

#[derive(Debug)]
struct Says(Verdict);

#[async_trait]
impl PromotionGate for Says {
    async fn review(&self, _candidate: &Candidate) -> Result<Verdict> {
        Ok(self.0.clone())
    }
}

#[derive(Debug)]
struct Away;

#[async_trait]
impl PromotionGate for Away {
    async fn review(&self, _candidate: &Candidate) -> Result<Verdict> {
        Err(Error::unavailable("the approver does not answer"))
    }
}

#[tokio::test]
async fn all_gates_are_asked_and_the_strictest_wins() {
    let says = |verdict| Arc::new(Says(verdict)) as Arc<dyn PromotionGate>;
    let flag = || says(Verdict::Flag(vec!["late".into()]));
    let refuse = |reason: &str| says(Verdict::Refuse(vec![reason.into()]));
    let candidate = candidate(evidence(48));

    let own: Arc<dyn PromotionGate> = Arc::new(EvidenceGate::new(params()).expect("valid"));
    let verdict = All::new([own.clone(), flag()]).review(&candidate).await.expect("decided");
    assert_eq!(verdict, Verdict::Flag(vec!["late".into()]));

    let nested: Arc<dyn PromotionGate> = Arc::new(All::new([own, refuse("b")]));
    let verdict = All::new([refuse("a"), flag(), nested]).review(&candidate).await.expect("decided");
    assert_eq!(verdict, Verdict::Refuse(vec!["a".into(), "b".into()]));

    let error = All::new([says(Verdict::Allow), Arc::new(Away)]).review(&candidate).await.expect_err("cannot decide");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!All::new([]).review(&candidate).await.expect("decided").is_allowed(), "no gate is no approval");
}
