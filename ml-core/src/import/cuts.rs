//! Every split as a few places on the line of single-precision numbers.
//!
//! The libraries compare doubles, take near-zeros for missing and look categories up in sets. To a value in single
//! precision all of that is one thing: an order of stretches of the line, each of which goes one way. The places where one
//! ends and the next begins are found here, so that one kind of question, `value <= cut`, asks them all exactly.

use super::ensemble::{Missing, NO_CATEGORY, Split, ZERO};

/// Where the stretches end, and which way each goes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cuts {
    /// The last number of every stretch but the topmost one, upwards.
    pub(super) ends: Vec<f32>,
    /// Whether the lowest stretch goes left; the next goes the other way, and so on.
    pub(super) lowest_left: bool,
    /// Whether NaN goes left.
    pub(super) nan_left: bool,
}

impl Cuts {
    pub(super) fn of(split: &Split, missing: Missing) -> Self {
        let mut candidates = candidates(split);
        // Ends of stretches: the topmost stretch ends at infinity.
        candidates.push(f32::INFINITY);
        candidates.sort_unstable_by(f32::total_cmp);
        candidates.dedup();
        let mut ends: Vec<f32> = Vec::new();
        let mut sides: Vec<bool> = Vec::new();
        for end in candidates {
            let left = split.goes_left(missing, end);
            if sides.last() == Some(&left) {
                ends.pop();
            } else {
                sides.push(left);
            }
            ends.push(end);
        }
        ends.pop();
        Self { ends, lowest_left: sides[0], nan_left: split.goes_left(missing, f32::NAN) }
    }
}

/// Numbers after which a split may change its mind, among them all after which it does.
pub(super) fn candidates(split: &Split) -> Vec<f32> {
    let mut ends = match split {
        Split::AtMost(threshold) => vec![at_most(*threshold)],
        Split::Below(threshold) => vec![threshold.next_down()],
        // The categories that are cut to 0 are those above -1.
        Split::Among(categories) => around(categories).chain([-1.0]).collect(),
        Split::NotAmong(categories) => {
            around(categories).chain([0.0_f32.next_down(), NO_CATEGORY.next_down()]).collect()
        }
    };
    if matches!(split, Split::AtMost(_)) {
        ends.extend([(-ZERO).next_down(), ZERO]);
    }
    // Below minus infinity there is nothing, and zero is one place.
    ends.iter_mut().filter(|end| **end == 0.0).for_each(|end| *end = 0.0);
    ends.retain(|end| !end.is_nan());
    ends
}

fn around(categories: &[u32]) -> impl Iterator<Item = f32> {
    categories.iter().flat_map(|category| [f64::from(*category), f64::from(*category) + 1.0].map(below))
}

/// The greatest single-precision number that is not above this.
fn at_most(number: f64) -> f32 {
    let near = nearest(number);
    if f64::from(near) > number { near.next_down() } else { near }
}

/// The greatest single-precision number that is below this.
fn below(number: f64) -> f32 {
    let near = nearest(number);
    if f64::from(near) >= number { near.next_down() } else { near }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest is what is asked for; the callers mend its side"
)]
fn nearest(number: f64) -> f32 {
    number as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Which way the cuts send a value.
    fn goes_left(cuts: &Cuts, value: f32) -> bool {
        if value.is_nan() {
            return cuts.nan_left;
        }
        let stretch = cuts.ends.iter().take_while(|end| value > **end).count();
        cuts.lowest_left == stretch.is_multiple_of(2)
    }

    fn any_missing() -> impl Strategy<Value = Missing> {
        prop::sample::select(vec![
            Missing::Left,
            Missing::Right,
            Missing::AsZero,
            Missing::ZeroLeft,
            Missing::ZeroRight,
        ])
    }

    fn any_split() -> impl Strategy<Value = (Split, Missing)> {
        let number = prop_oneof![
            any::<f64>().prop_filter("a number", |number| !number.is_nan()),
            any::<f32>().prop_filter("a number", |number| !number.is_nan()).prop_map(f64::from),
            prop::sample::select(vec![0.0, -0.0, 1e-35, -1e-35, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY]),
            (-3.0..3.0_f64),
        ];
        let single = any::<f32>().prop_filter("a number", |number| !number.is_nan());
        let categories =
            prop::collection::btree_set(prop_oneof![0..12_u32, 16_777_200..16_777_230_u32, any::<u32>()], 0..8)
                .prop_map(|set| set.into_iter().collect::<Vec<_>>());
        let nan = prop::sample::select(vec![Missing::Left, Missing::Right]);
        prop_oneof![
            (number.prop_map(Split::AtMost), any_missing()),
            (single.prop_map(Split::Below), nan.clone()),
            (categories.clone().prop_map(Split::Among), Just(Missing::Right)),
            (categories.prop_map(Split::NotAmong), nan),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]
        #[test]
        fn cuts_send_every_number_where_the_split_does(
            (split, missing) in any_split(),
            anywhere in prop::collection::vec(any::<f32>(), 16),
        ) {
            let cuts = Cuts::of(&split, missing);
            prop_assert!(cuts.ends.is_sorted_by(|a, b| a < b));
            let near = candidates(&split).into_iter().flat_map(|end| [end.next_down(), end, end.next_up()]);
            let fixed = [-1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 1.5, 7.75, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX];
            for value in near.chain(fixed).chain(anywhere) {
                prop_assert_eq!(goes_left(&cuts, value), split.goes_left(missing, value), "{} {:?}", value, cuts);
            }
        }
    }

    #[test]
    fn a_set_of_neighbors_is_one_stretch() {
        let cuts = Cuts::of(&Split::Among(vec![3, 4, 5]), Missing::Right);
        assert_eq!(cuts.ends, [3.0_f32.next_down(), 6.0_f32.next_down()]);
        assert!(!cuts.lowest_left && !cuts.nan_left);
    }
}
