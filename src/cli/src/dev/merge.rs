//! What the files ask for, brought together with what is remembered.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use synod_api::{Location, PartitionGroup, Problem};
use synod_node::SystemClock;
use synod_operator::controller::GroupKey;
use synod_types::Clock as _;

use super::Refusal;
use super::settings::Settings;
use super::state::{GroupState, Origin, State, key_of};
use super::wanted::{Wanted, refusal};

/// What is to be remembered, and what to do with it.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) state: State,
    /// The groups that are to run.
    pub(super) run: BTreeSet<GroupKey>,
    /// Those among them that are new.
    pub(super) new: BTreeSet<GroupKey>,
    /// What the person at the terminal should know.
    pub(super) notes: Vec<String>,
}

/// Accepts what the files ask for. Nothing on disk is changed.
///
/// # Errors
/// [`Refusal::Files`] with everything that cannot be changed.
pub(super) fn merge(
    settings: &Settings,
    wanted: &Wanted,
    remembered: Option<State>,
) -> Result<Merged, Refusal> {
    let state = begin(settings, remembered)?;
    let mut merged = Merged { state, run: BTreeSet::new(), new: BTreeSet::new(), notes: Vec::new() };
    let mut problems = Vec::new();
    for (location, group) in &wanted.groups {
        problems.extend(merged.group(settings, location, group)?);
    }
    if !problems.is_empty() {
        let Refusal::Files(mut lines) = refusal(&problems) else { return Err(refusal(&problems)) };
        lines.push(format!(
            "nothing was changed: put back what was there, or run what you want in another directory with --data-dir \
             (this one is \"{}\")",
            settings.shown_data_dir()
        ));
        return Err(Refusal::Files(lines));
    }
    for group in &merged.state.groups {
        let key = group.key();
        match group.origin {
            Origin::Api => drop(merged.run.insert(key)),
            Origin::File if merged.run.contains(&key) => {}
            Origin::File => merged.notes.push(format!(
                "group {}/{} is in none of the files given now: it is not started, and its data stays in \"{}\"",
                key.0,
                key.1,
                settings.group_dir(&key).display()
            )),
        }
    }
    wanted.check_primitives(&merged.run)?;
    Ok(merged)
}

/// What was remembered, as far as it goes with what was told now.
fn begin(settings: &Settings, remembered: Option<State>) -> anyhow::Result<State> {
    let host = settings.host();
    let Some(mut state) = remembered else {
        refuse_orphans(settings)?;
        let scheme = settings.scheme.unwrap_or_default();
        let controller_port = scheme.controller(settings.listen, &BTreeSet::new())?;
        return Ok(State::new(host, scheme, controller_port));
    };
    if state.host != host && !state.groups.is_empty() {
        anyhow::bail!(
            "the members in \"{}\" know each other by the address {}, which cannot be changed to {host}: use --listen {}, \
             or another directory with --data-dir",
            settings.shown_data_dir(),
            state.host,
            state.host,
        );
    }
    state.host = host;
    if let Some(scheme) = settings.scheme.filter(|scheme| *scheme != state.ports) {
        state.ports = scheme;
        state.controller_port = scheme.controller(settings.listen, &state.taken())?;
    }
    Ok(state)
}

/// Data of groups of which nothing is remembered is not touched.
fn refuse_orphans(settings: &Settings) -> anyhow::Result<()> {
    let is_node = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("node-") && path.is_dir()
    };
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let namespaces = below(&settings.data_dir);
    let groups = namespaces.iter().flat_map(|namespace| below(namespace));
    let mut orphans = groups.filter(|group| below(group).iter().any(|path| is_node(path)));
    match orphans.next() {
        None => Ok(()),
        Some(group) => anyhow::bail!(
            "\"{}\" holds data of nodes, but the file state.yaml, which tells how the group began, is missing: bring it \
             back from a backup, or move \"{}\" away and begin anew, empty",
            group.display(),
            settings.shown_data_dir()
        ),
    }
}

impl Merged {
    /// Accepts one group, or tells what cannot be changed.
    fn group(
        &mut self,
        settings: &Settings,
        location: &Location,
        group: &PartitionGroup,
    ) -> Result<Vec<Problem>, Refusal> {
        let key = key_of(group);
        if let Some(known) = self.state.group(&key) {
            let problems = group.validate_update(&known.manifest);
            if !problems.is_empty() {
                let name = format!("group {}/{} exists already", key.0, key.1);
                let problems = problems.into_iter().map(|problem| {
                    let message = format!("{} ({name})", problem.message);
                    Problem { message, ..problem }.at(location.clone())
                });
                return Ok(problems.collect());
            }
        } else {
            self.new.insert(key.clone());
        }
        accept(&mut self.state, settings, Origin::File, group)?;
        self.run.insert(key);
        Ok(Vec::new())
    }
}

/// Takes a group on, or its new spec, in what is to be remembered.
pub(super) fn accept(
    state: &mut State,
    settings: &Settings,
    origin: Origin,
    group: &PartitionGroup,
) -> anyhow::Result<()> {
    let key = key_of(group);
    if state.group(&key).is_none() {
        state.groups.push(GroupState {
            origin,
            created_ms: SystemClock.wall_ms(),
            manifest: group.clone(),
            nodes: Vec::new(),
            born: Default::default(),
        });
    }
    let (scheme, mut taken) = (state.ports, state.taken());
    let known = state.group_mut(&key).context("the group was just added")?;
    (known.origin, known.manifest) = (origin, group.clone());
    known.scale(|| {
        let ports = scheme.node(settings.listen, &taken)?;
        taken.extend(ports.all());
        Ok(ports)
    })
}

/// Moves away what lies where a new group is to live: a group that was deleted, or given up before it was remembered.
/// Members that lived then must not be taken for those of the new group.
pub(super) fn set_aside(settings: &Settings, key: &GroupKey) -> anyhow::Result<Option<PathBuf>> {
    let dir = settings.group_dir(key);
    if !dir.exists() {
        return Ok(None);
    }
    let aside = dir.with_file_name(format!("{}.deleted-{}", key.1, SystemClock.wall_ms()));
    std::fs::rename(&dir, &aside).with_context(|| format!("cannot move \"{}\" away", dir.display()))?;
    Ok(Some(aside))
}
