use super::Measure;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an audit found. Goes into the bundle at [`ml_core::bundle::BIAS`].
///
/// The JSON form has the same fields whatever was found. `Display` prints a table for the terminal;
/// [`BiasReport::to_section`] makes a section of an HTML page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BiasReport {
    /// The version of this form: 1.
    #[serde(deserialize_with = "crate::form::current")]
    pub format: u32,
    /// The level of all intervals, such as 0.95.
    pub confidence: f64,
    /// The least count of rows with which a group is compared.
    pub minimum_rows: u32,
    /// All rows together.
    pub overall: GroupReport,
    /// One part for each sensitive attribute.
    pub attributes: Vec<AttributeReport>,
}

impl BiasReport {
    /// The part on one attribute.
    #[must_use]
    pub fn attribute(&self, attribute: &str) -> Option<&AttributeReport> {
        self.attributes.iter().find(|part| part.attribute == attribute)
    }
}

/// What was found for one sensitive attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeReport {
    /// The attribute.
    pub attribute: String,
    /// Every group, in rising order of names.
    pub groups: Vec<GroupReport>,
    /// See [`Disparity::DemographicParityDifference`].
    pub demographic_parity_difference: Gap,
    /// See [`Disparity::DemographicParityRatio`].
    pub demographic_parity_ratio: Gap,
    /// See [`Disparity::EqualOpportunityDifference`].
    pub equal_opportunity_difference: Gap,
    /// See [`Disparity::EqualizedOddsDifference`].
    pub equalized_odds_difference: Gap,
    /// See [`Disparity::EqualizedOddsRatio`].
    pub equalized_odds_ratio: Gap,
}

impl AttributeReport {
    /// One group.
    #[must_use]
    pub fn group(&self, group: &str) -> Option<&GroupReport> {
        self.groups.iter().find(|part| part.group == group)
    }

    /// One comparison of the groups.
    #[must_use]
    pub fn gap(&self, disparity: Disparity) -> &Gap {
        match disparity {
            Disparity::DemographicParityDifference => &self.demographic_parity_difference,
            Disparity::DemographicParityRatio => &self.demographic_parity_ratio,
            Disparity::EqualOpportunityDifference => &self.equal_opportunity_difference,
            Disparity::EqualizedOddsDifference => &self.equalized_odds_difference,
            Disparity::EqualizedOddsRatio => &self.equalized_odds_ratio,
        }
    }
}

/// Counts and rates of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupReport {
    /// The value of the attribute.
    pub group: String,
    /// Whether the group has enough rows to be compared with others.
    pub is_compared: bool,
    /// The counts from which all else follows.
    pub cells: Cells,
    /// Selected among all rows.
    pub selection_rate: Measure,
    /// Positive labels among rows with a label.
    pub base_rate: Measure,
    /// Selected among rows with a positive label.
    pub true_positive_rate: Measure,
    /// Selected among rows with a negative label.
    pub false_positive_rate: Measure,
    /// Decision equal to label among rows with a label.
    pub accuracy: Measure,
}

/// Counts of rows by decision and label; with weights, their sums.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cells {
    /// Selected, label positive.
    pub true_positives: f64,
    /// Selected, label negative.
    pub false_positives: f64,
    /// Not selected, label negative.
    pub true_negatives: f64,
    /// Not selected, label positive.
    pub false_negatives: f64,
    /// Selected, label not known.
    pub unlabeled_selected: f64,
    /// Not selected, label not known.
    pub unlabeled_rejected: f64,
}

impl Cells {
    /// All rows.
    #[must_use]
    pub fn rows(&self) -> f64 {
        self.labeled() + self.unlabeled_selected + self.unlabeled_rejected
    }

    /// Rows whose label is known.
    #[must_use]
    pub fn labeled(&self) -> f64 {
        self.positives() + self.negatives()
    }

    /// Rows selected.
    #[must_use]
    pub fn selected(&self) -> f64 {
        self.true_positives + self.false_positives + self.unlabeled_selected
    }

    /// Rows with a positive label.
    #[must_use]
    pub fn positives(&self) -> f64 {
        self.true_positives + self.false_negatives
    }

    /// Rows with a negative label.
    #[must_use]
    pub fn negatives(&self) -> f64 {
        self.false_positives + self.true_negatives
    }
}

/// The difference or ratio between the two groups farthest apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The value. Its interval is that of these two groups: it does not correct for their having been chosen as the
    /// extremes among many, nor is it clipped to the range of the value.
    pub measure: Measure,
    /// The group with the lowest rate.
    pub lowest: Option<String>,
    /// The group with the highest rate.
    pub highest: Option<String>,
    /// Groups with enough rows that had to be left out of this comparison.
    pub omitted: Vec<Omitted>,
}

/// A group left out of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Omitted {
    /// The group.
    pub group: String,
    /// Why.
    pub reason: String,
}

/// How groups are compared.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disparity {
    /// Highest minus lowest selection rate (Dwork et al. 2012, "Fairness through awareness", statistical parity).
    DemographicParityDifference,
    /// Lowest over highest selection rate: the disparate impact or four-fifths ratio of the Uniform Guidelines on
    /// Employee Selection Procedures (29 CFR 1607.4 D), where less than 0.8 is taken as evidence of adverse impact.
    #[serde(alias = "disparate_impact_ratio")]
    DemographicParityRatio,
    /// Highest minus lowest true positive rate (Hardt, Price and Srebro 2016, "Equality of opportunity in supervised
    /// learning", definition 2.2).
    EqualOpportunityDifference,
    /// The larger of the differences of true positive and false positive rates (Hardt et al. 2016, definition 2.1).
    EqualizedOddsDifference,
    /// The smaller of the ratios of true positive and false positive rates.
    EqualizedOddsRatio,
}

impl Disparity {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 5] = [
        Self::DemographicParityDifference,
        Self::DemographicParityRatio,
        Self::EqualOpportunityDifference,
        Self::EqualizedOddsDifference,
        Self::EqualizedOddsRatio,
    ];

    /// Whether 1 is equal treatment and less is worse; otherwise 0 is, and more is worse.
    #[must_use]
    pub fn is_ratio(self) -> bool {
        matches!(self, Self::DemographicParityRatio | Self::EqualizedOddsRatio)
    }
}

impl fmt::Display for Disparity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::DemographicParityDifference => "demographic parity difference",
            Self::DemographicParityRatio => "demographic parity ratio",
            Self::EqualOpportunityDifference => "equal opportunity difference",
            Self::EqualizedOddsDifference => "equalized odds difference",
            Self::EqualizedOddsRatio => "equalized odds ratio",
        })
    }
}
