//! LightGBM's text models, versions 3 and 4.

use super::{
    Feature, Kind, Source,
    ensemble::{Ensemble, Link, Missing, Node, Split, Tree},
};
use crate::{Error, Result};
use std::{collections::HashMap, str::FromStr};

/// Reads a model as `Booster.save_model` writes it.
pub(super) fn parse(bytes: &[u8]) -> Result<Source> {
    let text = std::str::from_utf8(bytes)
        .map_err(|source| Error::corrupt("the model is no UTF-8 text").with_source(source))?;
    let mut lines = Lines { lines: text.lines(), number: 0 };
    if lines.next().map(|(_, line)| line) != Some("tree") {
        return Err(Error::corrupt("a LightGBM model starts with the line `tree`"));
    }
    let (header, mut more) = lines.section(None)?;
    let version = header.text("version")?;
    if !matches!(version, "v3" | "v4") {
        return Err(Error::unsupported("LightGBM models of this version are not supported, only v3 and v4")
            .with("version", version.escape_debug()));
    }
    let header = Header::read(&header)?;
    let mut trees = Vec::new();
    while more {
        let (section, next) = lines.section(Some(trees.len()))?;
        let read = tree(&section, &header, trees.len() % header.scores);
        trees.push(read.map_err(|error| error.with("tree", trees.len()))?);
        more = next;
    }
    if header.declared_trees.is_some_and(|declared| declared != trees.len())
        || !trees.len().is_multiple_of(header.scores)
    {
        return Err(Error::corrupt("the model has another number of trees than it says")
            .with("trees", trees.len())
            .with("declared", header.declared_trees.unwrap_or(0)));
    }
    if header.average {
        // Each score is the mean of its trees, with whose values the mean goes in.
        #[expect(clippy::cast_precision_loss, reason = "far fewer trees than 2^53")]
        let rounds = (trees.len() / header.scores).max(1) as f64;
        let nodes = trees.iter_mut().flat_map(|tree: &mut Tree| &mut tree.nodes);
        nodes.for_each(|node| {
            if let Node::Leaf { value, .. } = node {
                *value /= rounds;
            }
        });
    }
    let categorical = categorical(&trees, header.features.len());
    let columns = header.features.iter().zip(categorical).map(|(name, categorical)| Feature {
        name: name.clone(),
        kind: if categorical { Kind::Category } else { Kind::Number },
    });
    let columns = columns.collect();
    let ensemble = Ensemble {
        features: header.features,
        scores: header.scores,
        base: vec![0.0; header.scores],
        link: header.link,
        trees,
    };
    Ok(Source { ensemble, columns, version: version.trim_start_matches('v').into(), notes: Vec::new() })
}

/// Lines with their numbers, from 1.
struct Lines<'a> {
    lines: std::str::Lines<'a>,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<(usize, &'a str)> {
        self.number += 1;
        Some((self.number, self.lines.next()?.trim_end()))
    }

    /// The fields up to the line that starts the next tree or ends them all, and which of the two it was.
    fn section(&mut self, tree: Option<usize>) -> Result<(Section<'a>, bool)> {
        let mut section = Section { fields: HashMap::new() };
        let next = tree.map_or(0, |tree| tree + 1);
        while let Some((number, line)) = self.next() {
            if line.is_empty() {
                continue;
            }
            if line == "end of trees" {
                return Ok((section, false));
            }
            let wrong = |message: &str| Error::corrupt(message).with("line", number);
            // Flags are fields without a value.
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            if name == "Tree" {
                return if value.parse() == Ok(next) {
                    Ok((section, true))
                } else {
                    Err(wrong("the trees are not in order").with("expected", next))
                };
            }
            if section.fields.insert(name, (number, value)).is_some() {
                return Err(wrong("a field comes twice").with("field", name.escape_debug()));
            }
        }
        Err(Error::corrupt("the model ends before its trees do").with("line", self.number))
    }
}

/// Fields by name, with the line each stands on.
struct Section<'a> {
    fields: HashMap<&'a str, (usize, &'a str)>,
}

impl<'a> Section<'a> {
    fn field(&self, name: &'static str) -> Result<(usize, &'a str)> {
        self.fields.get(name).copied().ok_or_else(|| Error::corrupt("a field is missing").with("field", name))
    }

    fn text(&self, name: &'static str) -> Result<&'a str> {
        Ok(self.field(name)?.1)
    }

    fn number<T: FromStr>(&self, name: &'static str) -> Result<T> {
        let (line, text) = self.field(name)?;
        text.parse().map_err(|_| not_a_number(name, line, text))
    }

    /// Numbers between spaces, as many as are expected.
    fn numbers<T: FromStr>(&self, name: &'static str, count: usize) -> Result<Vec<T>> {
        let (line, text) = self.field(name)?;
        let numbers = text
            .split_ascii_whitespace()
            .map(|text| text.parse().map_err(|_| not_a_number(name, line, text)))
            .collect::<Result<Vec<T>>>()?;
        if numbers.len() == count {
            Ok(numbers)
        } else {
            Err(Error::corrupt("a list has another length")
                .with("field", name)
                .with("line", line)
                .with("expected", count)
                .with("got", numbers.len()))
        }
    }

    /// The same, zeros where the field is not there or empty.
    fn numbers_or_zeros(&self, name: &'static str, count: usize) -> Result<Vec<f64>> {
        match self.fields.get(name) {
            Some((_, text)) if !text.is_empty() => self.numbers(name, count),
            _ => Ok(vec![0.0; count]),
        }
    }
}

fn not_a_number(field: &'static str, line: usize, text: &str) -> Error {
    let shown: String = text.chars().take(40).collect();
    Error::corrupt("a number cannot be read").with("field", field).with("line", line).with("got", shown.escape_debug())
}

struct Header {
    features: Vec<String>,
    scores: usize,
    link: Link,
    average: bool,
    declared_trees: Option<usize>,
}

impl Header {
    fn read(section: &Section<'_>) -> Result<Self> {
        let features: Vec<String> =
            section.text("feature_names")?.split_ascii_whitespace().map(str::to_owned).collect();
        let greatest: usize = section.number("max_feature_idx")?;
        if greatest.checked_add(1) != Some(features.len()) {
            return Err(Error::corrupt("there is not one name a feature")
                .with("names", features.len())
                .with("max_feature_idx", greatest));
        }
        let scores: usize = section.number("num_tree_per_iteration")?;
        let classes: usize = section.number("num_class")?;
        // Both are bounded by what the file spells out: a tree each, or else nothing that asks for memory.
        if scores == 0 || scores > MAX_SCORES {
            return Err(
                Error::corrupt("the number of trees an iteration cannot be").with("num_tree_per_iteration", scores)
            );
        }
        let link = link(section.fields.get("objective").map_or("", |(_, text)| text), scores)?;
        if link.classes(scores).is_some_and(|of_link| of_link != classes.max(2)) {
            return Err(Error::corrupt("the number of classes is not that of the trees")
                .with("num_class", classes)
                .with("num_tree_per_iteration", scores));
        }
        let declared_trees = section.fields.get("tree_sizes").map(|(_, sizes)| sizes.split_ascii_whitespace().count());
        Ok(Self { features, scores, link, average: section.fields.contains_key("average_output"), declared_trees })
    }
}

/// More classes than any model has, and few enough to keep a number for each.
const MAX_SCORES: usize = 1 << 16;

/// What an objective makes of raw scores: its name, then its parameters as `name:value`.
fn link(objective: &str, scores: usize) -> Result<Link> {
    let mut words = objective.split_ascii_whitespace();
    let name = words.next().unwrap_or("");
    let parameters: Vec<&str> = words.collect();
    let slope = || -> Result<f64> {
        let Some(text) = parameters.iter().find_map(|parameter| parameter.strip_prefix("sigmoid:")) else {
            return Ok(1.0);
        };
        text.parse().ok().filter(|slope: &f64| slope.is_finite() && *slope > 0.0).ok_or_else(|| {
            Error::corrupt("the slope of the sigmoid is no positive number").with("objective", objective.escape_debug())
        })
    };
    let root = parameters.contains(&"sqrt");
    let link = match name {
        "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" if root => Link::SignedSquare,
        // Without an objective the model was trained by a function of its owner: raw scores.
        "" | "custom" | "none" | "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape"
        | "lambdarank" | "rank_xendcg" => Link::Identity,
        "poisson" | "gamma" | "tweedie" => Link::Exp,
        "cross_entropy" => Link::Sigmoid { slope: 1.0 },
        "cross_entropy_lambda" => Link::Softplus,
        "binary" if scores == 1 => Link::Logistic { slope: slope()? },
        "multiclass" if scores > 1 => Link::Softmax,
        "multiclassova" if scores > 1 => Link::OneVersusAll { slope: slope()? },
        "binary" | "multiclass" | "multiclassova" => {
            return Err(Error::corrupt("the objective does not fit the number of trees an iteration")
                .with("objective", name)
                .with("num_tree_per_iteration", scores));
        }
        _ => {
            return Err(Error::unsupported("models of this objective are not supported")
                .with("objective", objective.escape_debug()));
        }
    };
    Ok(link)
}

/// Leaves come after the branches, so leaf `i` of `n` leaves is node `n - 1 + i`.
fn tree(section: &Section<'_>, header: &Header, score: usize) -> Result<Tree> {
    if section.fields.get("is_linear").is_some_and(|(_, value)| *value != "0") {
        return Err(Error::unsupported("linear trees are not supported"));
    }
    let leaves: usize = section.number("num_leaves")?;
    let branches = leaves.checked_sub(1).ok_or_else(|| Error::corrupt("a tree without leaves"))?;
    let values: Vec<f64> = section.numbers("leaf_value", leaves)?;
    let leaf_covers = section.numbers_or_zeros("leaf_count", leaves)?;
    let mut nodes = Vec::with_capacity(branches + leaves);
    if branches > 0 {
        let features: Vec<usize> = section.numbers("split_feature", branches)?;
        let thresholds: Vec<f64> = section.numbers("threshold", branches)?;
        let decisions: Vec<u8> = section.numbers("decision_type", branches)?;
        let lefts: Vec<i64> = section.numbers("left_child", branches)?;
        let rights: Vec<i64> = section.numbers("right_child", branches)?;
        let covers = section.numbers_or_zeros("internal_count", branches)?;
        let mut categories = Categories::read(section)?;
        for at in 0..branches {
            let in_node = |error: Error| error.with("node", at);
            let child = |child: i64| match usize::try_from(child) {
                Ok(branch) if branch < branches => Ok(branch),
                Err(_) => {
                    usize::try_from(-1 - child).ok().filter(|leaf| *leaf < leaves).map(|leaf| branches + leaf).ok_or(())
                }
                Ok(_) => Err(()),
            };
            let child =
                |to: i64| child(to).map_err(|()| in_node(Error::corrupt("a child is not there").with("child", to)));
            if features[at] >= header.features.len() {
                return Err(in_node(Error::corrupt("a feature is not there").with("feature", features[at])));
            }
            let (split, missing) = decision(decisions[at], thresholds[at], &mut categories).map_err(in_node)?;
            let (left, right) = (child(lefts[at])?, child(rights[at])?);
            nodes.push(Node::Branch { feature: features[at], split, missing, left, right, cover: covers[at] });
        }
    }
    nodes.extend(values.into_iter().zip(leaf_covers).map(|(value, cover)| Node::Leaf { value, cover }));
    Ok(Tree { score, nodes })
}

/// Bit 0: a set of categories; bit 1: the default is left; bits 2 and 3: what is missing.
fn decision(bits: u8, threshold: f64, categories: &mut Categories) -> Result<(Split, Missing)> {
    let default_left = bits & 2 != 0;
    if bits & 1 != 0 {
        return Ok((Split::Among(categories.take(threshold)?), Missing::Right));
    }
    let missing = match (bits >> 2, default_left) {
        (0, _) => Missing::AsZero,
        (1, true) => Missing::ZeroLeft,
        (1, false) => Missing::ZeroRight,
        (2, true) => Missing::Left,
        (2, false) => Missing::Right,
        _ => return Err(Error::corrupt("a decision is of no known type").with("decision_type", bits)),
    };
    Ok((Split::AtMost(threshold), missing))
}

/// The sets of categories of a tree: bits of words, between boundaries.
struct Categories {
    boundaries: Vec<usize>,
    words: Vec<u32>,
    taken: Vec<bool>,
}

impl Categories {
    fn read(section: &Section<'_>) -> Result<Self> {
        let sets: usize = section.fields.get("num_cat").map_or(Ok(0), |_| section.number("num_cat"))?;
        if sets == 0 {
            return Ok(Self { boundaries: vec![0], words: Vec::new(), taken: Vec::new() });
        }
        let count = sets.checked_add(1).ok_or_else(|| Error::corrupt("too many sets of categories"))?;
        let boundaries: Vec<usize> = section.numbers("cat_boundaries", count)?;
        let words: Vec<u32> = section.numbers("cat_threshold", boundaries[sets])?;
        if boundaries[0] != 0 || !boundaries.is_sorted() {
            return Err(
                Error::corrupt("the boundaries of the categories are not in order").with("field", "cat_boundaries")
            );
        }
        Ok(Self { boundaries, words, taken: vec![false; sets] })
    }

    /// The set that a threshold numbers. Each belongs to one branch, so that no file asks for more than it spells out.
    fn take(&mut self, threshold: f64) -> Result<Vec<u32>> {
        #[expect(clippy::cast_precision_loss, reason = "far fewer sets than 2^53")]
        let sets = self.taken.len() as f64;
        if !(threshold >= 0.0 && threshold < sets) {
            return Err(Error::corrupt("a set of categories is not there").with("threshold", threshold));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "cut to a whole number, as LightGBM does"
        )]
        let set = threshold as usize;
        if std::mem::replace(&mut self.taken[set], true) {
            return Err(Error::corrupt("a set of categories belongs to two branches").with("threshold", threshold));
        }
        let mut categories = Vec::new();
        for (at, word) in self.words[self.boundaries[set]..self.boundaries[set + 1]].iter().enumerate() {
            for bit in (0..32).filter(|bit| word & (1 << bit) != 0) {
                let category = u32::try_from(at).ok().and_then(|at| at.checked_mul(32)?.checked_add(bit));
                // LightGBM reads categories as signed numbers.
                categories.push(
                    category
                        .filter(|category| i32::try_from(*category).is_ok())
                        .ok_or_else(|| Error::corrupt("a category is too large").with("field", "cat_threshold"))?,
                );
            }
        }
        Ok(categories)
    }
}

/// Which columns any tree asks for categories.
fn categorical(trees: &[Tree], features: usize) -> Vec<bool> {
    let mut categorical = vec![false; features];
    for node in trees.iter().flat_map(|tree| &tree.nodes) {
        if let Node::Branch { feature, split: Split::Among(_), .. } = node {
            categorical[*feature] = true;
        }
    }
    categorical
}
