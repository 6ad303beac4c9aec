//! XGBoost's models of version 1.7 to 3, in JSON and in Universal Binary JSON: the same form in two encodings.

use super::{
    Feature, Kind, Rounds, Source,
    ensemble::{Ensemble, Link, Missing, Node, Split},
    ubj,
};
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, de};
use std::{borrow::Cow, collections::BTreeMap, fmt};

/// Reads a model as `Booster.save_model` writes it to a file that ends in `json`.
pub(super) fn parse_json(bytes: &[u8], rounds: Rounds) -> Result<Source> {
    let model = serde_json::from_slice(&without_nan(bytes))
        .map_err(|source| Error::corrupt("the bytes are no XGBoost model in JSON").with_source(source))?;
    read(model, rounds)
}

/// Reads a model as `Booster.save_model` writes it to a file that ends in `ubj`.
pub(super) fn parse_ubj(bytes: &[u8], rounds: Rounds) -> Result<Source> {
    let model = ubj::from_slice(bytes).map_err(|source| {
        Error::corrupt("the bytes are no XGBoost model in Universal Binary JSON").with_source(source)
    })?;
    read(model, rounds)
}

#[derive(Deserialize)]
struct Model {
    learner: Learner,
    version: Vec<u32>,
}

#[derive(Deserialize)]
struct Learner {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    feature_names: Vec<String>,
    #[serde(default)]
    feature_types: Vec<String>,
    gradient_booster: Booster,
    learner_model_param: LearnerParam,
    objective: Objective,
}

#[derive(Deserialize)]
struct LearnerParam {
    base_score: String,
    num_class: String,
    num_feature: String,
    #[serde(default)]
    num_target: Option<String>,
}

#[derive(Deserialize)]
struct Objective {
    name: String,
}

#[derive(Deserialize)]
struct Booster {
    name: String,
    model: Option<Trees>,
    /// The trees of `dart`.
    gbtree: Option<Dropped>,
    weight_drop: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct Dropped {
    model: Trees,
}

/// The fields are missing in a linear booster.
#[derive(Deserialize)]
struct Trees {
    trees: Option<Vec<Tree>>,
    tree_info: Option<Vec<i64>>,
    iteration_indptr: Option<Vec<i64>>,
    gbtree_model_param: Option<TreesParam>,
    cats: Option<Recoded>,
}

#[derive(Deserialize)]
struct TreesParam {
    num_trees: Option<String>,
    num_parallel_tree: Option<String>,
}

/// The categories of a data frame, which XGBoost itself turns into codes.
#[derive(Deserialize)]
struct Recoded {
    #[serde(default)]
    enc: Vec<de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Tree {
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    split_indices: Vec<i64>,
    #[serde(deserialize_with = "singles")]
    split_conditions: Vec<f32>,
    #[serde(deserialize_with = "flags")]
    default_left: Vec<bool>,
    sum_hessian: Vec<f32>,
    #[serde(default)]
    split_type: Vec<u8>,
    #[serde(default)]
    categories: Vec<i32>,
    #[serde(default)]
    categories_nodes: Vec<i32>,
    #[serde(default)]
    categories_segments: Vec<i64>,
    #[serde(default)]
    categories_sizes: Vec<i64>,
    tree_param: TreeParam,
}

#[derive(Deserialize)]
struct TreeParam {
    #[serde(default)]
    size_leaf_vector: Option<String>,
}

/// Version 1 writes `NaN` for the thresholds of categorical splits, which JSON does not have: `null` stands for it.
fn without_nan(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (mut kept, mut from) = (Vec::new(), 0);
    let (mut in_text, mut escaped) = (false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            // One that begins within another is none of its own.
            b'N' if !in_text && at >= from && bytes[at..].starts_with(b"NaN") => {
                kept.extend_from_slice(&bytes[from..at]);
                kept.extend_from_slice(b"null");
                from = at + 3;
            }
            _ => {}
        }
    }
    if from == 0 {
        return Cow::Borrowed(bytes);
    }
    kept.extend_from_slice(&bytes[from..]);
    Cow::Owned(kept)
}

/// Numbers, `null` for what is none.
fn singles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let read = Vec::<Option<f32>>::deserialize(deserializer)?;
    Ok(read.into_iter().map(|number| number.unwrap_or(f32::NAN)).collect())
}

/// Truth as 0 and 1, or as JSON has it: versions differ.
fn flags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<bool>, D::Error> {
    struct Flag(bool);
    impl<'de> Deserialize<'de> for Flag {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl de::Visitor<'_> for Visitor {
                type Value = Flag;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("0, 1, true or false")
                }
                fn visit_bool<E: de::Error>(self, value: bool) -> Result<Flag, E> {
                    Ok(Flag(value))
                }
                fn visit_u64<E: de::Error>(self, value: u64) -> Result<Flag, E> {
                    match value {
                        0 | 1 => Ok(Flag(value == 1)),
                        _ => Err(E::invalid_value(de::Unexpected::Unsigned(value), &self)),
                    }
                }
                fn visit_i64<E: de::Error>(self, value: i64) -> Result<Flag, E> {
                    u64::try_from(value)
                        .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
                        .and_then(|value| self.visit_u64(value))
                }
            }
            deserializer.deserialize_any(Visitor)
        }
    }
    Ok(Vec::<Flag>::deserialize(deserializer)?.into_iter().map(|flag| flag.0).collect())
}

fn read(model: Model, rounds: Rounds) -> Result<Source> {
    let Model { learner, version } = model;
    let version = version.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
    let (trees, drops) = match learner.gradient_booster {
        Booster { name, model: Some(trees), .. } if name == "gbtree" => (trees, None),
        Booster { name, gbtree: Some(Dropped { model }), weight_drop: Some(drops), .. } if name == "dart" => {
            (model, Some(drops))
        }
        Booster { name, .. } if name == "gbtree" || name == "dart" => {
            return Err(Error::corrupt("the booster has no trees").with("booster", name));
        }
        Booster { name, .. } => {
            return Err(
                Error::unsupported("models of this booster are not supported").with("booster", name.escape_debug())
            );
        }
    };
    let width: usize = number("num_feature", &learner.learner_model_param.num_feature)?;
    let features = names(learner.feature_names, width)?;
    let scores = scores(&learner.learner_model_param)?;
    let (link, margin) = link(&learner.objective.name, scores)?;
    let base = base(&learner.learner_model_param.base_score, scores, margin)?;
    let parts = (trees.trees, trees.tree_info);
    let (Some(mut read), Some(info)) = parts else { return Err(Error::corrupt("the booster has no trees")) };
    let declared = trees.gbtree_model_param.as_ref().and_then(|param| param.num_trees.as_deref());
    let declared = declared.map(|text| number::<usize>("num_trees", text)).transpose()?;
    let drops = drops.unwrap_or_else(|| vec![1.0; read.len()]);
    if info.len() != read.len() || drops.len() != read.len() || declared.is_some_and(|declared| declared != read.len())
    {
        return Err(Error::corrupt("the lists of trees have different lengths")
            .with("trees", read.len())
            .with("tree_info", info.len())
            .with("weight_drop", drops.len()));
    }
    let mut notes = Vec::new();
    let parallel = trees.gbtree_model_param.and_then(|param| param.num_parallel_tree);
    let parallel = parallel.map_or(Ok(1), |text| number::<usize>("num_parallel_tree", &text))?.max(1);
    let ends = ends(trees.iteration_indptr, read.len(), parallel.saturating_mul(scores))?;
    let kept = kept(rounds, &learner.attributes, &ends, &mut notes)?;
    read.truncate(kept);
    let mut built = Vec::with_capacity(read.len());
    for (at, tree) in read.into_iter().enumerate() {
        let score = usize::try_from(info[at]).unwrap_or(usize::MAX);
        built.push(tree.build(score, f64::from(drops[at])).map_err(|error| error.with("tree", at))?);
    }
    if trees.cats.is_some_and(|cats| !cats.enc.is_empty()) {
        notes.push("the columns of categories take codes: the place of the category in the data frame that XGBoost learned from".to_owned());
    }
    let columns = columns(&features, &learner.feature_types)?;
    let ensemble = Ensemble { features, scores, base, link, trees: built };
    Ok(Source { ensemble, columns, version, notes })
}

fn number<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T> {
    let shown = || text.chars().take(40).collect::<String>();
    text.trim()
        .parse()
        .map_err(|_| Error::corrupt("a number cannot be read").with("field", field).with("got", shown().escape_debug()))
}

/// The names of the features, made up where the model has none.
fn names(names: Vec<String>, width: usize) -> Result<Vec<String>> {
    match names.len() {
        0 if width <= MAX_UNNAMED => Ok((0..width).map(|at| format!("f{at}")).collect()),
        count if count == width => Ok(names),
        count => Err(Error::corrupt("there is not one name a feature").with("names", count).with("num_feature", width)),
    }
}

/// More columns than this without a name are a number that costs nothing to write.
const MAX_UNNAMED: usize = 1 << 20;

fn columns(features: &[String], types: &[String]) -> Result<Vec<Feature>> {
    if !types.is_empty() && types.len() != features.len() {
        return Err(Error::corrupt("there is not one type a feature")
            .with("feature_types", types.len())
            .with("num_feature", features.len()));
    }
    let kind = |at: usize| match types.get(at) {
        // Newer versions write the type of the categories behind the letter.
        Some(kind) if kind == "c" || kind.starts_with("c(") => Kind::Category,
        _ => Kind::Number,
    };
    Ok(features.iter().enumerate().map(|(at, name)| Feature { name: name.clone(), kind: kind(at) }).collect())
}

fn scores(param: &LearnerParam) -> Result<usize> {
    let classes: usize = number("num_class", &param.num_class)?;
    let targets: usize = param.num_target.as_deref().map_or(Ok(1), |text| number("num_target", text))?;
    let scores = classes.max(1).checked_mul(targets.max(1)).filter(|scores| *scores <= MAX_SCORES);
    scores.ok_or_else(|| {
        Error::corrupt("too many classes or targets").with("num_class", classes).with("num_target", targets)
    })
}

/// More scores than any model has, and few enough to keep a number for each.
const MAX_SCORES: usize = 1 << 16;

/// In which terms a base score is written, and how it becomes a raw one.
#[derive(Clone, Copy)]
enum Margin {
    Same,
    Logit,
    Log,
}

fn link(objective: &str, scores: usize) -> Result<(Link, Margin)> {
    Ok(match objective {
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:absoluteerror"
        | "reg:pseudohubererror"
        | "reg:quantileerror"
        | "rank:pairwise"
        | "rank:ndcg"
        | "rank:map" => (Link::Identity, Margin::Same),
        "reg:logistic" => (Link::Sigmoid { slope: 1.0 }, Margin::Logit),
        "binary:logistic" if scores == 1 => (Link::Logistic { slope: 1.0 }, Margin::Logit),
        // Several targets are several questions of yes or no: the probability of yes for each.
        "binary:logistic" => (Link::Sigmoid { slope: 1.0 }, Margin::Logit),
        "binary:logitraw" => (Link::Identity, Margin::Same),
        "binary:hinge" => (Link::Step, Margin::Same),
        "count:poisson" | "reg:gamma" | "reg:tweedie" => (Link::Exp, Margin::Log),
        "multi:softprob" | "multi:softmax" if scores > 1 => (Link::Softmax, Margin::Same),
        _ => {
            return Err(Error::unsupported("models of this objective are not supported")
                .with("objective", objective.escape_debug())
                .with("scores", scores));
        }
    })
}

/// One number, or since version 3.1 a list of one a score.
fn base(text: &str, scores: usize, margin: Margin) -> Result<Vec<f64>> {
    let list = text.trim();
    let list = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(list);
    let read: Vec<f64> =
        list.split(',').map(|text| number::<f32>("base_score", text).map(f64::from)).collect::<Result<_>>()?;
    let base: Vec<f64> = match read.len() {
        1 => vec![read[0]; scores],
        count if count == scores => read,
        count => {
            return Err(Error::corrupt("there is not one base score a score")
                .with("base_score", count)
                .with("scores", scores));
        }
    };
    let raw = |base: f64| match margin {
        Margin::Same => base,
        Margin::Logit => (base / (1.0 - base)).ln(),
        Margin::Log => base.ln(),
    };
    let base: Vec<f64> = base.into_iter().map(raw).collect();
    if base.iter().all(|base| base.is_finite()) {
        Ok(base)
    } else {
        Err(Error::corrupt("a base score is outside of what its objective allows")
            .with("base_score", text.escape_debug()))
    }
}

/// After how many trees each round of boosting ends.
fn ends(indptr: Option<Vec<i64>>, trees: usize, a_round: usize) -> Result<Vec<usize>> {
    let Some(indptr) = indptr else {
        return if trees.is_multiple_of(a_round) {
            Ok((1..=trees / a_round).map(|round| round * a_round).collect())
        } else {
            Err(Error::corrupt("the last round of boosting is not whole").with("trees", trees).with("a_round", a_round))
        };
    };
    let ends: Vec<usize> = indptr.iter().skip(1).filter_map(|end| usize::try_from(*end).ok()).collect();
    let whole = indptr.first() == Some(&0) && ends.len() + 1 == indptr.len() && ends.is_sorted();
    if whole && ends.last().copied().unwrap_or(0) == trees {
        Ok(ends)
    } else {
        Err(Error::corrupt("the rounds of boosting do not hold the trees")
            .with("field", "iteration_indptr")
            .with("trees", trees))
    }
}

/// How many trees are kept.
fn kept(
    rounds: Rounds,
    attributes: &BTreeMap<String, String>,
    ends: &[usize],
    notes: &mut Vec<String>,
) -> Result<usize> {
    let best = attributes.get("best_iteration").map(|text| number::<usize>("best_iteration", text)).transpose()?;
    let first = |rounds: usize| match rounds.checked_sub(1) {
        None => Ok(0),
        Some(last) => ends.get(last).copied().ok_or_else(|| {
            Error::invalid_input("the model has fewer rounds of boosting")
                .with("rounds", ends.len())
                .with("asked", rounds)
        }),
    };
    match (rounds, best) {
        (Rounds::First(rounds), _) => first(rounds),
        (Rounds::Best, Some(best)) => first(best.saturating_add(1)),
        (Rounds::Best, None) => Err(Error::invalid_input("the model names no best round of boosting")),
        (Rounds::All, best) => {
            if let Some(best) = best.filter(|best| best + 1 < ends.len()) {
                notes.push(format!(
                    "all {} rounds of boosting are in the model, though the best was number {best} from 0; ask for the best where that is meant",
                    ends.len()
                ));
            }
            Ok(ends.last().copied().unwrap_or(0))
        }
    }
}

impl Tree {
    /// Keeps the nodes that can be reached: pruned ones stay in the file.
    fn build(self, score: usize, drop: f64) -> Result<super::ensemble::Tree> {
        let count = self.left_children.len();
        if self.tree_param.size_leaf_vector.as_deref().is_some_and(|size| !matches!(size.trim(), "0" | "1")) {
            return Err(Error::unsupported("trees with several values a leaf are not supported"));
        }
        let lengths = [
            ("right_children", self.right_children.len()),
            ("split_indices", self.split_indices.len()),
            ("split_conditions", self.split_conditions.len()),
            ("default_left", self.default_left.len()),
            ("sum_hessian", self.sum_hessian.len()),
        ];
        let uneven = lengths.iter().find(|(_, length)| *length != count);
        if let Some((field, length)) = uneven.or((count == 0).then_some(&("left_children", 0))) {
            return Err(Error::corrupt("the lists of a tree have different lengths, or none")
                .with("field", field)
                .with("length", length)
                .with("nodes", count));
        }
        if !self.split_type.is_empty() && self.split_type.len() != count {
            return Err(
                Error::corrupt("the lists of a tree have different lengths, or none").with("field", "split_type")
            );
        }
        let mut sets = self.sets()?;
        let mut places: Vec<Option<usize>> = vec![None; count];
        places[0] = Some(0);
        let (mut order, mut nodes) = (vec![0], Vec::new());
        while let Some(&at) = order.get(nodes.len()) {
            let in_node = |error: Error| error.with("node", at);
            let cover = f64::from(self.sum_hessian[at]);
            if self.left_children[at] == -1 {
                nodes.push(Node::Leaf { value: f64::from(self.split_conditions[at]) * drop, cover });
                continue;
            }
            let mut child = |child: i32| {
                let to = usize::try_from(child).ok().filter(|to| *to < count);
                let to = to.ok_or_else(|| in_node(Error::corrupt("a child is not there").with("child", child)))?;
                if places[to].replace(order.len()).is_some() {
                    return Err(in_node(Error::corrupt("two branches lead to one node").with("child", to)));
                }
                order.push(to);
                Ok(order.len() - 1)
            };
            let (left, right) = (child(self.left_children[at])?, child(self.right_children[at])?);
            let split = match self.split_type.get(at).copied().unwrap_or(0) {
                0 => Split::Below(self.split_conditions[at]),
                1 => Split::NotAmong(sets.remove(&at).ok_or_else(|| {
                    in_node(Error::corrupt("a branch by categories has none").with("field", "categories_nodes"))
                })?),
                other => return Err(in_node(Error::corrupt("a split is of no known type").with("split_type", other))),
            };
            let feature = usize::try_from(self.split_indices[at]).map_err(|_| {
                in_node(Error::corrupt("a feature is not there").with("feature", self.split_indices[at]))
            })?;
            let missing = if self.default_left[at] { Missing::Left } else { Missing::Right };
            nodes.push(Node::Branch { feature, split, missing, left, right, cover });
        }
        Ok(super::ensemble::Tree { score, nodes })
    }

    /// The categories of every branch that has some.
    fn sets(&self) -> Result<BTreeMap<usize, Vec<u32>>> {
        let wrong = |message: &str, at: usize| Error::corrupt(message).with("field", "categories").with("segment", at);
        let count = self.categories_nodes.len();
        if self.categories_segments.len() != count || self.categories_sizes.len() != count {
            return Err(wrong("the lists of the categories have different lengths", count));
        }
        let mut left = self.categories.len();
        let mut sets = BTreeMap::new();
        for at in 0..count {
            let start = usize::try_from(self.categories_segments[at]).ok();
            let size = usize::try_from(self.categories_sizes[at]).ok();
            let segment =
                start.zip(size).and_then(|(start, size)| self.categories.get(start..start.checked_add(size)?));
            let segment = segment.ok_or_else(|| wrong("a segment of the categories is not there", at))?;
            left = left.checked_sub(segment.len()).ok_or_else(|| wrong("two segments share categories", at))?;
            let mut set = segment
                .iter()
                .map(|category| u32::try_from(*category).map_err(|_| wrong("a category is negative", at)))
                .collect::<Result<Vec<_>>>()?;
            set.sort_unstable();
            set.dedup();
            let node = usize::try_from(self.categories_nodes[at]).map_err(|_| wrong("a node is negative", at))?;
            if sets.insert(node, set).is_some() {
                return Err(wrong("a node has two sets of categories", at));
            }
        }
        Ok(sets)
    }
}
