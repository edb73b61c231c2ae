//! What to do next about a certificate. Pure.
//!
//! Servers read what was written for them each at another time, and clients hear of authorities later
//! still. So an authority is trusted by all before the first certificate of it is shown, and for as long after the last.

/// How long it takes at most until everybody has read what was written.
pub(in super::super) const SPREAD_SECONDS: i64 = 600;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// What is in use.
pub(super) struct Held<'a> {
    /// Who is trusted.
    pub(super) ca: &'a str,
    /// Since when it is as it is, in seconds since 1970.
    pub(super) since: i64,
    /// Whether anybody believes it still.
    pub(super) is_valid: bool,
    /// Whether it is the certificate that is to be in use, whoever is trusted.
    pub(super) is_wanted: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, now.
    Keep,
    /// Trust these, and show the certificate that is in use.
    Trust(String),
    /// Trust these, and show the certificate that is to be in use.
    Show(String),
}

/// Decides what is next, where `ca` is who signs what is to be in use.
pub(super) fn next(held: Option<&Held<'_>>, ca: &str, now: i64) -> Next {
    let wanted = Bundle::of(ca);
    let Some(held) = held.filter(|held| held.is_valid || held.is_wanted) else {
        return Next::Show(wanted.pem());
    };
    let trusted = Bundle::of(held.ca);
    let has_spread = now >= held.since.saturating_add(SPREAD_SECONDS);
    match (held.is_wanted, trusted == wanted) {
        (true, true) => Next::Keep,
        _ if !trusted.holds(&wanted) => Next::Trust(trusted.with(&wanted).pem()),
        _ if !has_spread => Next::Keep,
        (true, false) => Next::Trust(wanted.pem()),
        (false, _) => Next::Show(trusted.pem()),
    }
}

/// Certificates, one after the other.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Bundle(Vec<String>);

impl PartialEq for Bundle {
    fn eq(&self, other: &Self) -> bool {
        self.holds(other) && other.holds(self)
    }
}

impl Bundle {
    /// The certificates of a text; what stands between them is left out.
    pub(in super::super) fn of(pem: &str) -> Self {
        let block = |text: &str| {
            let (_, block) = text.split_once(BEGIN)?;
            let lines: Vec<_> = block.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            Some(format!("{BEGIN}\n{}\n{END}\n", lines.join("\n")))
        };
        let mut texts: Vec<_> = pem.split(END).collect();
        // What comes after the last end has none.
        texts.pop();
        Self(texts.into_iter().filter_map(block).collect())
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn holds(&self, other: &Self) -> bool {
        other.0.iter().all(|block| self.0.contains(block))
    }

    /// Those of both.
    pub(in super::super) fn with(mut self, other: &Self) -> Self {
        for block in &other.0 {
            if !self.0.contains(block) {
                self.0.push(block.clone());
            }
        }
        self
    }

    pub(in super::super) fn pem(&self) -> String {
        self.0.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn what_is_next_depends_on_who_is_trusted_and_for_how_long() {
        let block = |name: &str| format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n");
        let (a, b) = (block("A"), block("B"));
        let both = format!("# trusted\n{a}{b}");
        let clean = format!("{a}{b}");
        let long_ago = NOW - SPREAD_SECONDS;
        let held = |ca, since, is_valid, is_wanted| Held { ca, since, is_valid, is_wanted };
        for (held, wanted, expected) in [
            (held(&a, long_ago, true, true), &a, Next::Keep),
            (held(&a, long_ago, true, false), &a, Next::Show(a.clone())),
            (held(&a, NOW, true, false), &a, Next::Keep),
            (held(&a, long_ago, true, false), &b, Next::Trust(clean.clone())),
            (held(&both, NOW - 1, true, false), &b, Next::Keep),
            (held(&both, long_ago, true, false), &b, Next::Show(clean.clone())),
            (held(&both, NOW - 1, true, true), &b, Next::Keep),
            (held(&both, long_ago, true, true), &b, Next::Trust(b.clone())),
            (held(&a, NOW, false, false), &b, Next::Show(b.clone())),
        ] {
            assert_eq!(
                next(Some(&held), wanted, NOW),
                expected,
                "{} {} {}",
                held.ca,
                held.is_wanted,
                held.since
            );
        }
        assert_eq!(next(None, &a, NOW), Next::Show(a.clone()));
        assert_eq!(next(Some(&held(&format!("{b}{a}"), long_ago, true, true)), &both, NOW), Next::Keep);
    }
}
