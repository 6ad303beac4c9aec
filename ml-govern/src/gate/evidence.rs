use crate::{BiasReport, ModelCard, bias::Disparity};
use async_trait::async_trait;
use ml_core::{
    Bundle, Error, ErrorKind, Result, bundle,
    port::{Candidate, PromotionGate, Verdict},
    report::number,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;

/// What an [`EvidenceGate`] asks for. What is left empty is not asked for.
///
/// ```
/// use ml_govern::GateParams;
///
/// let params: GateParams = serde_json::from_str(r#"{
///     "minimum_metrics": {"roc_auc": 0.7},
///     "fairness": {"equalized_odds_difference": 0.1, "disparate_impact_ratio": 0.8},
///     "audited": ["carrier"],
///     "card_fields": ["intended_use.primary_uses"]
/// }"#).unwrap();
/// assert_eq!(params.fairness.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateParams {
    /// Metrics that have to be at least so high, by their names in [`bundle::METRICS`].
    pub minimum_metrics: BTreeMap<String, f64>,
    /// Metrics that may be at most so high, such as a loss.
    pub maximum_metrics: BTreeMap<String, f64>,
    /// The largest difference, or the least ratio, for every audited attribute in [`bundle::BIAS`].
    pub fairness: BTreeMap<Disparity, f64>,
    /// Attributes that have to be audited.
    pub audited: Vec<String>,
    /// Parts of the model card in [`bundle::CARD`] that have to be filled in, as paths such as
    /// `intended_use.primary_uses`.
    pub card_fields: Vec<String>,
}

/// Reads the evidence in the bundle and refuses with reasons, each naming what was found and what is asked.
///
/// Evidence that is missing, cannot be read or has no value is a reason to refuse. Groups that the audit could not compare
/// are a flag: the version may go on, and the reason is to be recorded.
///
/// ```
/// use ml_core::{Bundle, Signature, bundle, onnx::OnnxModel, port::{Candidate, PromotionGate, Verdict}, signature::TensorSpec, tensor::DType};
/// use ml_govern::{EvidenceGate, GateParams};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let gate = EvidenceGate::new(GateParams { minimum_metrics: [("roc_auc".into(), 0.7)].into(), ..Default::default() })?;
///
/// let signature = Signature::new(vec![], vec![TensorSpec::batched("y", DType::Fp32, [])])?;
/// let model = OnnxModel { bytes: vec![8, 8].into(), signature };
/// let bundle = Bundle::builder(model).json(bundle::METRICS, &serde_json::json!({"roc_auc": 0.65}))?.build()?;
/// let candidate = Candidate::new("fraud".parse()?, "7".parse()?, "champion".parse()?, bundle, None);
///
/// let verdict = gate.review(&candidate).await?;
/// assert_eq!(verdict, Verdict::Refuse(vec!["metric roc_auc is 0.65, asked for at least 0.7".into()]));
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct EvidenceGate {
    params: GateParams,
}

impl EvidenceGate {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when nothing is asked for, a limit is NaN or infinite, a fairness
    /// limit is not from 0 to 1, or no model card has such a field.
    pub fn new(params: GateParams) -> Result<Self> {
        if params == GateParams::default() {
            return Err(Error::invalid_input("a gate that asks for nothing"));
        }
        for (name, limit) in params.minimum_metrics.iter().chain(&params.maximum_metrics) {
            if !limit.is_finite() {
                return Err(Error::invalid_input("a limit is not a number").with("metric", name).with("limit", limit));
            }
        }
        for (disparity, limit) in &params.fairness {
            if !(0.0..=1.0).contains(limit) {
                return Err(Error::invalid_input("a fairness limit is not from 0 to 1")
                    .with("disparity", disparity)
                    .with("limit", limit));
            }
        }
        let card = serde_json::to_value(ModelCard::default()).expect("a card has a JSON form");
        if let Some(field) = params.card_fields.iter().find(|field| at_path(&card, field).is_none()) {
            return Err(Error::invalid_input("no model card has such a field").with("field", field.escape_debug()));
        }
        Ok(Self { params })
    }

    fn metrics(&self, candidate: &Bundle, found: &mut Findings) {
        if self.params.minimum_metrics.is_empty() && self.params.maximum_metrics.is_empty() {
            return;
        }
        let Some(metrics) = found.read::<BTreeMap<String, Option<f64>>>(candidate, bundle::METRICS) else { return };
        let limits = |limits: &BTreeMap<String, f64>, word, keeps: fn(f64, f64) -> bool, found: &mut Findings| {
            for (name, limit) in limits {
                match metrics.get(name) {
                    None => found.refuse(format!("metric {name} is missing, asked for {word} {limit}")),
                    Some(None) => found.refuse(format!("metric {name} is undefined, asked for {word} {limit}")),
                    Some(Some(value)) if keeps(*value, *limit) => {}
                    Some(Some(value)) => found.refuse(format!("metric {name} is {value}, asked for {word} {limit}")),
                }
            }
        };
        limits(&self.params.minimum_metrics, "at least", |value, limit| value >= limit, found);
        limits(&self.params.maximum_metrics, "at most", |value, limit| value <= limit, found);
    }

    fn fairness(&self, candidate: &Bundle, found: &mut Findings) {
        if self.params.fairness.is_empty() && self.params.audited.is_empty() {
            return;
        }
        let Some(report) = found.read::<BiasReport>(candidate, bundle::BIAS) else { return };
        for attribute in self.params.audited.iter().filter(|name| report.attribute(name).is_none()) {
            found.refuse(format!("the bias report does not audit {attribute}"));
        }
        if report.attributes.is_empty() && self.params.audited.is_empty() {
            found.refuse("the bias report audits no attribute".into());
        }
        for part in &report.attributes {
            let attribute = &part.attribute;
            for (&disparity, &limit) in &self.params.fairness {
                let gap = part.gap(disparity);
                let word = if disparity.is_ratio() { "at least" } else { "at most" };
                let between = match (&gap.lowest, &gap.highest) {
                    (Some(lowest), Some(highest)) => format!(" ({lowest} lowest, {highest} highest)"),
                    _ => String::new(),
                };
                match (gap.measure.value(), gap.measure.reason()) {
                    (Some(value), _) if (if disparity.is_ratio() { value >= limit } else { value <= limit }) => {}
                    (Some(value), _) => found.refuse(format!(
                        "{disparity} of {attribute} is {}{between}, asked for {word} {limit}",
                        number::fixed(value, 4)
                    )),
                    (None, reason) => found.refuse(format!(
                        "{disparity} of {attribute} is undefined ({}), asked for {word} {limit}",
                        reason.unwrap_or("no reason given")
                    )),
                }
                for omitted in &gap.omitted {
                    found.flag(format!("{disparity} of {attribute} leaves out {}: {}", omitted.group, omitted.reason));
                }
            }
            let small = part.groups.iter().filter(|group| !group.is_compared).count();
            if small > 0 && !self.params.fairness.is_empty() {
                found.flag(format!(
                    "{small} of {} groups of {attribute} have fewer than {} rows and are not compared",
                    part.groups.len(),
                    report.minimum_rows
                ));
            }
        }
    }

    fn card(&self, candidate: &Bundle, found: &mut Findings) {
        if self.params.card_fields.is_empty() {
            return;
        }
        let Some(card) = found.read::<ModelCard>(candidate, bundle::CARD) else { return };
        let card = serde_json::to_value(card).expect("a card has a JSON form");
        for field in &self.params.card_fields {
            if at_path(&card, field).is_none_or(is_blank) {
                found.refuse(format!("the model card says nothing under {field}"));
            }
        }
    }
}

#[async_trait]
impl PromotionGate for EvidenceGate {
    async fn review(&self, candidate: &Candidate) -> Result<Verdict> {
        let mut found = Findings::default();
        self.metrics(&candidate.bundle, &mut found);
        self.fairness(&candidate.bundle, &mut found);
        self.card(&candidate.bundle, &mut found);
        let verdict = found.verdict();
        tracing::info!(
            model = %candidate.name, version = %candidate.version, alias = %candidate.alias,
            allowed = verdict.is_allowed(), reasons = verdict.reasons().len(), "promotion reviewed"
        );
        Ok(verdict)
    }
}

/// Reasons found so far.
#[derive(Default)]
struct Findings {
    refusals: Vec<String>,
    flags: Vec<String>,
}

impl Findings {
    fn refuse(&mut self, reason: String) {
        self.refusals.push(reason);
    }

    fn flag(&mut self, reason: String) {
        self.flags.push(reason);
    }

    /// Reads a file of the bundle; one that is not there or has another form is a reason to refuse.
    fn read<T: DeserializeOwned>(&mut self, bundle: &Bundle, path: &str) -> Option<T> {
        match bundle.json(path) {
            Ok(value) => Some(value),
            Err(error) => {
                let reason = match (error.kind(), std::error::Error::source(&error)) {
                    (ErrorKind::NotFound, _) => format!("{path} is missing from the bundle"),
                    (_, Some(source)) => format!("{path} cannot be read: {source}"),
                    (_, None) => format!("{path} cannot be read: {error}"),
                };
                self.refuse(reason);
                None
            }
        }
    }

    fn verdict(self) -> Verdict {
        match (self.refusals.is_empty(), self.flags.is_empty()) {
            (false, _) => Verdict::Refuse(self.refusals),
            (true, false) => Verdict::Flag(self.flags),
            (true, true) => Verdict::Allow,
        }
    }
}

fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, name| value.as_object()?.get(name))
}

/// Whether there is nothing to read: null, blank text, or only such things.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_blank),
        Value::Object(fields) => fields.values().all(is_blank),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
