//! Whether an object that is there still says what was asked of it.
//!
//! An API server fills in defaults and writes quantities in its own way, so "says what was asked" means: every field that
//! was asked for is there with an equal value, and lists have the same length. Fields that are no longer asked for are not
//! seen here; the hash of what was last asked is compared for that.

use serde_json::Value;

/// Whether `live` has everything that `desired` asks for. `null` and what is empty ask for nothing.
pub(super) fn contains(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (_, Value::Null) => true,
        (Value::Object(live), Value::Object(desired)) => {
            desired.iter().all(|(key, desired)| match live.get(key) {
                Some(live) => contains(live, desired),
                None => asks_for_nothing(desired),
            })
        }
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len()
                && live.iter().zip(desired).all(|(live, desired)| contains(live, desired))
        }
        (Value::String(live), Value::String(desired)) => live == desired || same_quantity(live, desired),
        (live, desired) => live == desired,
    }
}

fn asks_for_nothing(desired: &Value) -> bool {
    match desired {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether two texts are the same quantity, as "0.5" and "500m" are.
fn same_quantity(a: &str, b: &str) -> bool {
    matches!((thousandths(a), thousandths(b)), (Some(a), Some(b)) if a == b)
}

/// A quantity in thousandths, if the text is one that Kubernetes would write so, and it is a whole number of them.
pub(super) fn thousandths(text: &str) -> Option<u128> {
    const UNITS: [(&str, u128); 13] = [
        ("Ki", 1_000 << 10),
        ("Mi", 1_000 << 20),
        ("Gi", 1_000 << 30),
        ("Ti", 1_000 << 40),
        ("Pi", 1_000 << 50),
        ("Ei", 1_000 << 60),
        ("m", 1),
        ("k", 1_000_000),
        ("M", 1_000_000_000),
        ("G", 1_000_000_000_000),
        ("T", 1_000_000_000_000_000),
        ("P", 1_000_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000_000),
    ];
    let unit = UNITS.into_iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = unit.unwrap_or((text, 1_000));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || whole.len() > 15 || fraction.len() > 3 || !is_digits(whole) || !is_digits(fraction)
    {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = digits.checked_mul(factor)?;
    (scaled % scale == 0).then_some(scaled / scale)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_and_spelling_are_no_difference() {
        let live = json!({
            "spec": {"ports": [{"port": 1, "protocol": "TCP"}], "type": "ClusterIP"},
            "resources": {"cpu": "100m", "memory": "1Gi"},
        });
        for desired in [
            json!({}),
            json!({"spec": {"ports": [{"port": 1}]}}),
            json!({"resources": {"cpu": "0.1", "memory": "1024Mi"}}),
            json!({"labels": {}, "selector": null, "items": []}),
        ] {
            assert!(contains(&live, &desired), "{desired}");
        }
    }

    #[test]
    fn what_is_missing_or_other_is_a_difference() {
        let live = json!({"ports": [{"port": 1}, {"port": 2}], "cpu": "100m", "on": true});
        for desired in [
            json!({"ports": [{"port": 1}]}),
            json!({"ports": [{"port": 2}, {"port": 1}]}),
            json!({"cpu": "101m"}),
            json!({"cpu": "lots"}),
            json!({"on": false}),
            json!({"name": "x"}),
        ] {
            assert!(!contains(&live, &desired), "{desired}");
        }
    }

    #[test]
    fn quantities_are_compared_by_what_they_are() {
        assert_eq!(thousandths("1"), Some(1_000));
        assert_eq!(thousandths("1.5"), Some(1_500));
        assert_eq!(thousandths("250m"), Some(250));
        assert_eq!(thousandths("1.5Gi"), thousandths("1536Mi"));
        assert_eq!(thousandths("2M"), Some(2_000_000_000));
        for none in ["", "m", "Gi", "-1", "1e3", "x", "1.2345"] {
            assert_eq!(thousandths(none), None, "{none}");
        }
        assert!(!same_quantity("a", "b"));
    }
}
