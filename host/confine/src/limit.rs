//! A limit, said once: where it stands in the configuration, its unit, default, bounds and sentence.
//!
//! [`limits!`](crate::limits) declares those that an operator may set, as the fields of a struct;
//! [`fixed!`](crate::fixed) those that are the same for everybody, as constants. The default, the
//! check, the key of the configuration file, `/stats`, `/metrics` and the documents come from there.

use std::ops::RangeInclusive;

/// Binary kilobyte.
pub const KIB: u64 = 1 << 10;
/// Binary megabyte.
pub const MIB: u64 = 1 << 20;
/// Binary gigabyte.
pub const GIB: u64 = 1 << 30;
/// Binary terabyte.
pub const TIB: u64 = 1 << 40;

/// What is said of one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Name in `/stats` and `/metrics`.
    pub name: &'static str,
    /// Key of the configuration file, as in `policies.limits.held_bytes`; none where nobody sets it.
    pub key: Option<&'static str>,
    /// What it counts.
    pub unit: &'static str,
    /// What holds when nobody says otherwise.
    pub default: u64,
    /// What may be set.
    pub bounds: RangeInclusive<u64>,
    /// What it bounds, in one or two sentences, as they were written: see [`sentence`](Self::sentence).
    pub documentation: &'static str,
}

impl Limit {
    /// What it bounds, on one line.
    pub fn sentence(&self) -> String {
        self.documentation.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The last word of the key: what stands in its section of the configuration file.
    pub fn word(&self) -> Option<&'static str> {
        self.key.map(|key| key.rsplit('.').next().unwrap_or(key))
    }

    /// Refuses a value out of bounds.
    ///
    /// # Errors
    /// What the value must be.
    pub fn check(&'static self, value: u64) -> Result<(), OutOfBounds> {
        match self.bounds.contains(&value) {
            true => Ok(()),
            false => Err(OutOfBounds { limit: self, value }),
        }
    }
}

/// A value that a limit can't have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is {value} {}; it must be {} to {}",
    limit.key.unwrap_or(limit.name), limit.unit, limit.bounds.start(), limit.bounds.end()
)]
pub struct OutOfBounds {
    /// Which limit.
    pub limit: &'static Limit,
    /// What it was set to.
    pub value: u64,
}

/// A struct all of whose fields are limits, in the order of [`ALL`](Self::ALL).
pub trait Bounded {
    /// What is said of each.
    const ALL: &'static [Limit];

    /// The values.
    fn values(&self) -> Vec<u64>;

    /// Sets the limit at `index` of [`ALL`](Self::ALL); one that there is not is left alone.
    fn set(&mut self, index: usize, value: u64);

    /// Every limit with its value.
    fn table(&self) -> Vec<(&'static Limit, u64)> {
        Self::ALL.iter().zip(self.values()).collect()
    }

    /// These values with those of `wanted` in place of the ones that `may_change`, and which of them differ.
    fn renewed(
        &self,
        wanted: &Self,
        may_change: impl Fn(&Limit) -> bool,
    ) -> (Self, Vec<&'static Limit>)
    where
        Self: Clone,
    {
        let mut renewed = self.clone();
        let mut changed = Vec::new();
        for (index, limit) in self.differing(wanted) {
            if may_change(limit) {
                renewed.set(index, wanted.values()[index]);
                changed.push(limit);
            }
        }
        (renewed, changed)
    }

    /// The limits whose values differ, with their places in [`ALL`](Self::ALL).
    fn differing(&self, other: &Self) -> Vec<(usize, &'static Limit)> {
        let values = self.values().into_iter().zip(other.values());
        let all = Self::ALL.iter().enumerate().zip(values);
        all.filter_map(|(limit, (one, other))| (one != other).then_some(limit)).collect()
    }

    /// Refuses the first value that is out of its bounds.
    ///
    /// # Errors
    /// Which limit, and what it must be.
    fn check(&self) -> Result<(), OutOfBounds> {
        self.table().into_iter().try_for_each(|(limit, value)| limit.check(value))
    }
}

/// What the value of a limit may be kept as.
pub trait Number: Copy {
    /// As the table has it.
    fn number(self) -> u64;
    /// From the table; the largest there is for what is larger.
    fn of(number: u64) -> Self;
}

impl Number for u64 {
    fn number(self) -> u64 {
        self
    }
    fn of(number: u64) -> Self {
        number
    }
}

impl Number for u32 {
    fn number(self) -> u64 {
        self.into()
    }
    fn of(number: u64) -> Self {
        number.try_into().unwrap_or(Self::MAX)
    }
}

impl Number for usize {
    fn number(self) -> u64 {
        self as u64
    }
    fn of(number: u64) -> Self {
        number.try_into().unwrap_or(Self::MAX)
    }
}

/// Declares limits that an operator may set: the struct, its `Default` and its [`Bounded`](crate::Bounded). The two
/// texts are what stands before a field's name in the configuration file's keys, and in `/stats`.
///
/// ```
/// use signalbox_confine::{KIB, Bounded, MIB, limits};
/// limits! {
///     /// What a gate lets through.
///     pub struct Gate: "gate.", "gate_" {
///         /// What one parcel may weigh.
///         parcel_bytes: u64 = 64 * KIB, 1..=MIB, "bytes";
///     }
/// }
/// assert_eq!(Gate::ALL[0].key, Some("gate.parcel_bytes"));
/// let wrong = Gate { parcel_bytes: 0 }.check().unwrap_err().to_string();
/// assert_eq!(wrong, "gate.parcel_bytes is 0 bytes; it must be 1 to 1048576");
/// ```
#[macro_export]
macro_rules! limits {
    (
        $(#[$meta:meta])*
        $vis:vis struct $Name:ident: $section:literal, $prefix:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr, $bounds:expr, $unit:literal;
            )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $Name {
            $(
                $(#[doc = $doc])+
                #[doc = concat!(
                    "\n\nDefault `", stringify!($default), "`, bounds `", stringify!($bounds), "` ", $unit, "."
                )]
                pub $field: $type,
            )+
        }

        impl Default for $Name {
            fn default() -> Self {
                Self { $($field: $crate::Number::of($default)),+ }
            }
        }

        impl $crate::Bounded for $Name {
            const ALL: &'static [$crate::Limit] = &[$($crate::Limit {
                name: concat!($prefix, stringify!($field)),
                key: Some(concat!($section, stringify!($field))),
                unit: $unit,
                default: $default,
                bounds: $bounds,
                documentation: concat!($($doc),+),
            }),+];

            fn values(&self) -> Vec<u64> {
                vec![$($crate::Number::number(self.$field)),+]
            }

            fn set(&mut self, index: usize, value: u64) {
                let sets: &[fn(&mut Self, u64)] =
                    &[$(|limits, value| limits.$field = $crate::Number::of(value)),+];
                if let Some(set) = sets.get(index) {
                    set(self, value);
                }
            }
        }
    };
}

/// Declares bounds that are the same for everybody: a constant each, and the list of them.
///
/// ```
/// signalbox_confine::fixed! {
///     /// What is fixed about gates.
///     pub const FIXED {
///         /// Bars of one gate.
///         pub const BARS_MAX: usize = 12, "gate_bars_max", "bars";
///     }
/// }
/// assert_eq!((BARS_MAX, FIXED[0].default), (12, 12));
/// ```
#[macro_export]
macro_rules! fixed {
    (
        $(#[$meta:meta])*
        $vis:vis const $LIST:ident {
            $(
                $(#[doc = $doc:literal])+
                $own:vis const $NAME:ident: $type:ty = $value:expr, $name:literal, $unit:literal;
            )+
        }
    ) => {
        $(
            $(#[doc = $doc])+
            $own const $NAME: $type = $value;
        )+

        $(#[$meta])*
        $vis const $LIST: &[$crate::Limit] = &[$($crate::Limit {
            name: $name,
            key: None,
            unit: $unit,
            default: $NAME as u64,
            bounds: $NAME as u64..=$NAME as u64,
            documentation: concat!($($doc),+),
        }),+];
    };
}
