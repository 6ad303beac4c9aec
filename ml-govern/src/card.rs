//! Model cards: what a model is for, what it was made from, how well it does, and for whom it was not made.

mod page;

use crate::form;
use ml_core::{Bundle, Error, Result, Signature, bundle, time::CreatedTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A model card with the sections of Mitchell et al. 2019, "Model cards for model reporting".
///
/// Goes into the bundle at [`ml_core::bundle::CARD`]. The JSON form always has the same fields: what is not known is empty
/// or null, so that a reader sees what was not said. [`ModelCard::to_page`] makes an HTML page of it.
///
/// ```
/// use ml_core::{Bundle, Signature, bundle, onnx::OnnxModel, signature::TensorSpec, tensor::DType};
/// use ml_govern::{ModelCard, card::{Details, IntendedUse}};
///
/// let signature = Signature::new(vec![], vec![TensorSpec::batched("y", DType::Fp32, [])])?;
/// let card = ModelCard {
///     details: Details { name: "flight-delay".into(), owners: vec!["operations research".into()], ..Default::default() },
///     intended_use: IntendedUse { primary_uses: vec!["Plan gates an hour ahead.".into()], ..Default::default() },
///     signature: Some(signature.clone()),
///     ..Default::default()
/// }
/// .with_metric("roc_auc", 0.75);
///
/// let model = OnnxModel { bytes: vec![8, 8].into(), signature };
/// let bundle = Bundle::builder(model).json(bundle::CARD, &card)?.build()?;
/// assert_eq!(ModelCard::from_bundle(&bundle)?, card);
/// assert!(card.to_page(None).render().contains("Plan gates an hour ahead."));
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// The version of this form: 1.
    #[serde(deserialize_with = "crate::form::current")]
    pub format: u32,
    /// Who made what, and when.
    pub details: Details,
    /// What the model is for.
    pub intended_use: IntendedUse,
    /// What its quality may depend on.
    pub factors: Factors,
    /// How well it does.
    pub metrics: Metrics,
    /// What it was measured on.
    pub evaluation_data: Data,
    /// What it was trained on.
    pub training_data: Data,
    /// Results by group and intersection of groups: paths of reports in the bundle, such as `audit/bias.json`.
    pub quantitative_analyses: Vec<String>,
    /// Sensitive data, risks and harms, and what was done about them.
    pub ethical_considerations: Vec<String>,
    /// What else a user has to know, and what is recommended.
    pub caveats_and_recommendations: Vec<String>,
    /// What the model takes and gives.
    pub signature: Option<Signature>,
}

/// Who made what, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// The name of the model.
    pub name: String,
    /// The version, in the words of its makers.
    pub version: String,
    /// What it does, in a few sentences.
    pub description: String,
    /// The kind of model, such as `logistic regression`.
    pub model_type: String,
    /// People or teams that answer for it.
    pub owners: Vec<String>,
    /// Where to send questions.
    pub contact: String,
    /// Under which terms it may be used.
    pub license: String,
    /// Papers and other resources.
    pub references: Vec<String>,
    /// When it was trained.
    pub trained_at: Option<CreatedTime>,
}

/// What a model is for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntendedUse {
    /// Uses it was made for.
    pub primary_uses: Vec<String>,
    /// Users it was made for.
    pub primary_users: Vec<String>,
    /// Uses it is not fit for.
    pub out_of_scope_uses: Vec<String>,
}

/// What the quality of a model may depend on: groups, instruments, environments.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factors {
    /// Factors known to matter.
    pub relevant: Vec<String>,
    /// Factors by which it was evaluated.
    pub evaluated: Vec<String>,
}

/// How well a model does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Metrics on the evaluation data; null where undefined.
    pub performance: BTreeMap<String, Option<f64>>,
    /// The score from which on a row is selected.
    pub decision_threshold: Option<f64>,
    /// How uncertainty was estimated.
    pub variation_approach: String,
}

/// A data set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Which data it is.
    pub description: String,
    /// Where it came from, with its license.
    pub source: String,
    /// The time it covers.
    pub period: String,
    /// The number of rows.
    pub rows: Option<u64>,
    /// Why this data was chosen.
    pub motivation: String,
    /// What was done to it.
    pub preprocessing: String,
}

impl Default for ModelCard {
    fn default() -> Self {
        Self {
            format: form::CURRENT,
            details: Details::default(),
            intended_use: IntendedUse::default(),
            factors: Factors::default(),
            metrics: Metrics::default(),
            evaluation_data: Data::default(),
            training_data: Data::default(),
            quantitative_analyses: Vec::new(),
            ethical_considerations: Vec::new(),
            caveats_and_recommendations: Vec::new(),
            signature: None,
        }
    }
}

impl ModelCard {
    /// Adds a metric; NaN and infinities become undefined, since JSON has no such numbers.
    #[must_use]
    pub fn with_metric(mut self, name: impl Into<String>, value: f64) -> Self {
        self.metrics.performance.insert(name.into(), value.is_finite().then_some(value));
        self
    }

    /// Reads the card of a bundle.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when there is none, [`Corrupt`](ml_core::ErrorKind::Corrupt) when it has another form.
    pub fn from_bundle(bundle: &Bundle) -> Result<Self> {
        bundle.json(bundle::CARD).map_err(|error| error.op("govern.read_card"))
    }

    /// The card as JSON.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a number is NaN or infinite and was not added with [`ModelCard::with_metric`].
    pub fn to_json(&self) -> Result<String> {
        let numbers = self.metrics.performance.iter().map(|(name, value)| (name.as_str(), *value));
        let threshold = ("decision_threshold", self.metrics.decision_threshold);
        if let Some((name, _)) = numbers.chain([threshold]).find(|(_, value)| value.is_some_and(|v| !v.is_finite())) {
            return Err(Error::invalid_input("a number of the model card has no JSON form").with("metric", name));
        }
        serde_json::to_string_pretty(self)
            .map_err(|source| Error::invalid_input("the model card has no JSON form").with_source(source))
    }
}
