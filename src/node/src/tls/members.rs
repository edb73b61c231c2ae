//! Who somebody is, by the names in a certificate: `synod://<namespace>/<group>/<partition>` for the members of one
//! partition, `synod://<namespace>/<group>` for those of all partitions of a group.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

const SCHEME: &str = "synod://";

/// The partitions of which somebody is a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members(BTreeSet<Membership>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Membership {
    /// `namespace/name`.
    group: String,
    /// All of them, if none is named.
    partition: Option<u32>,
}

impl Membership {
    fn parse(uri: &str) -> Option<Self> {
        let (namespace, rest) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let (name, partition) = match rest.split_once('/') {
            Some((name, partition)) => (name, Some(partition.parse().ok()?)),
            None => (rest, None),
        };
        let is_whole = !namespace.is_empty() && !name.is_empty();
        is_whole.then(|| Self { group: format!("{namespace}/{name}"), partition })
    }

    fn meets(&self, other: &Self) -> bool {
        self.group == other.group
            && (self.partition == other.partition || self.partition.is_none() || other.partition.is_none())
    }
}

impl Members {
    /// What a certificate says. Names of other kinds are passed over.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Self::default() };
        Self(certificate.valid_uri_names().filter_map(Membership::parse).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a partition of which both are members.
    pub(crate) fn meet(&self, other: &Self) -> bool {
        self.0.iter().any(|membership| other.0.iter().any(|other| membership.meets(other)))
    }

    fn hold(&self, group: &str, partition: u32) -> bool {
        self.meet(&Self([Membership { group: group.to_owned(), partition: Some(partition) }].into()))
    }
}

impl fmt::Display for Members {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.write_str("nobody");
        }
        for (position, Membership { group, partition }) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(formatter, "{comma}{SCHEME}{group}")?;
            if let Some(partition) = partition {
                write!(formatter, "/{partition}")?;
            }
        }
        Ok(())
    }
}

/// Who calls, as far as the connection tells.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// It tells nothing, because nothing is encrypted.
    Unknown,
    /// It should tell, and does not.
    Nobody,
    /// A member of these partitions.
    Member(Arc<Members>),
}

impl Caller {
    /// Whether the caller may speak for a member of a partition. Where nothing is known of callers, all may.
    pub(crate) fn may_speak_for(&self, group: &str, partition: u32) -> bool {
        match self {
            Self::Unknown => true,
            Self::Nobody => false,
            Self::Member(members) => members.hold(group, partition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(uris: &[&str]) -> Members {
        Members(uris.iter().filter_map(|uri| Membership::parse(uri)).collect())
    }

    #[test]
    fn members_meet_in_a_partition_of_a_group_of_a_namespace() {
        let own = members(&["synod://shop/sample/3"]);
        for (other, meet) in [
            ("synod://shop/sample/3", true),
            ("synod://shop/sample", true),
            ("synod://shop/sample/4", false),
            ("synod://shop/other/3", false),
            ("synod://other/sample/3", false),
            ("synod://shop/sampl", false),
        ] {
            assert_eq!(own.meet(&members(&[other])), meet, "{other}");
            assert_eq!(members(&["synod://a/b/1", other]).meet(&own), meet, "{other}");
        }
        assert!(!own.meet(&Members::default()));
    }

    #[test]
    fn what_is_no_name_of_a_member_makes_nobody_a_member() {
        for uri in
            ["", "synod://", "synod://shop", "synod://shop/", "synod:///sample/1", "synod://shop/sample/x"]
        {
            assert!(members(&[uri]).is_empty(), "{uri}");
        }
        assert!(
            members(&["https://shop/sample/3", "synod://shop/sample/3/4", "synod://shop/sample/-1"])
                .is_empty()
        );
    }

    #[test]
    fn a_member_speaks_for_its_own_partitions_and_strangers_without_names_for_all() {
        let caller = Caller::Member(Arc::new(members(&["synod://shop/sample/3"])));
        assert!(caller.may_speak_for("shop/sample", 3));
        assert!(!caller.may_speak_for("shop/sample", 4) && !caller.may_speak_for("shop/other", 3));
        assert!(Caller::Unknown.may_speak_for("shop/sample", 3));
    }
}
