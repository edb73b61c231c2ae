//! What somebody may want to do, and what he is told who may not.

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// One is read.
    Get,
    /// All are read.
    List,
    /// Changes are followed.
    Watch,
    /// One is made.
    Create,
    /// One is done away with.
    Delete,
}

/// To what it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Groups.
    PartitionGroups,
    /// What groups hold.
    Primitives,
}

/// Something that somebody may do, or may not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Right {
    /// What is done.
    pub verb: Verb,
    /// To what.
    pub resource: Resource,
    /// The namespace; all of them if it is empty.
    pub namespace: String,
    /// The only object that is meant; all of them if it is empty.
    pub name: String,
}

impl Verb {
    /// As rules of RBAC spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Delete => "delete",
        }
    }

    /// The role that is installed with the operator and has it.
    const fn role(self) -> &'static str {
        match self {
            Self::Get | Self::List | Self::Watch => "synod-client",
            Self::Create | Self::Delete => "synod-editor",
        }
    }
}

impl Resource {
    /// As rules of RBAC spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PartitionGroups => "partitiongroups",
            Self::Primitives => "primitives",
        }
    }
}

impl Right {
    /// To do something in a namespace, or in all if it is empty.
    pub fn new(verb: Verb, resource: Resource, namespace: &str) -> Self {
        Self { verb, resource, namespace: namespace.to_owned(), name: String::new() }
    }

    /// The same for one object only, if a name is given.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// What somebody is told who lacks it: who, what, where, and the command with which an administrator gives it.
    pub(super) fn refusal(&self, user: &str) -> String {
        let (verb, resource, role) = (self.verb.as_str(), self.resource.as_str(), self.verb.role());
        let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let (who, short) = match account {
            Some((namespace, name)) => (format!("--serviceaccount={namespace}:{name}"), name),
            None => (format!("--user=\"{user}\""), "USER"),
        };
        let binding = format!("{role}-{short} --clusterrole={role} {who}");
        if self.namespace.is_empty() {
            return format!(
                "\"{user}\" may not {verb} {resource}.synod.dev in all namespaces: name one in which he may, or let an \
                 administrator run `kubectl create clusterrolebinding {binding}`"
            );
        }
        let Self { namespace, name, .. } = self;
        let what = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        format!(
            "\"{user}\" may not {verb} {resource}.synod.dev{what} in namespace \"{namespace}\": let an administrator run \
             `kubectl --namespace {namespace} create rolebinding {binding}`"
        )
    }
}
