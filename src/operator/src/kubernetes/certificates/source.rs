//! Where certificates come from, and what is due of one that is in use. Pure.

use super::Subject;
use super::authority::Authority;
use super::pair::Pair;
use super::rotation::{Held, Next, next};

/// Where certificates come from.
pub(in super::super) enum Source {
    /// The operator signs them.
    Made(Authority),
    /// The user provides one.
    Given(Pair),
}

impl Source {
    /// Whether a certificate comes from here, and need not be renewed.
    fn is_origin_of(&self, held: &Pair, subject: &impl Subject, now: i64) -> bool {
        match self {
            Self::Made(authority) => {
                let of_authority = Pair { ca: authority.certificate.clone(), ..held.clone() };
                of_authority.check(subject, now).is_ok_and(|validity| !validity.is_due(now))
            }
            Self::Given(given) => (&held.certificate, &held.key) == (&given.certificate, &given.key),
        }
    }

    /// What is to be written next, where `held` is in use `since` so many seconds after 1970; nothing, if nothing is due.
    pub(in super::super) fn due(
        &self,
        held: Option<&Pair>,
        since: i64,
        subject: &impl Subject,
        now: i64,
    ) -> Result<Option<Pair>, rcgen::Error> {
        let ca = match self {
            Self::Made(authority) => &authority.certificate,
            Self::Given(pair) => &pair.ca,
        };
        let known = held.map(|held| {
            let is_wanted = self.is_origin_of(held, subject, now);
            let is_valid = is_wanted || held.check(subject, now).is_ok();
            Held { ca: &held.ca, since, is_valid, is_wanted }
        });
        match (next(known.as_ref(), ca, now), held) {
            (Next::Keep, _) => Ok(None),
            (Next::Trust(ca), Some(held)) => Ok(Some(Pair { ca, ..held.clone() })),
            (Next::Trust(ca) | Next::Show(ca), _) => {
                let issued = match self {
                    Self::Made(authority) => authority.issue(subject, now)?,
                    Self::Given(given) => given.clone(),
                };
                Ok(Some(Pair { ca, ..issued }))
            }
        }
    }
}
