//! What processes cost: CPU time and memory, as the kernel counts them, and what machine this is.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// One tick of `utime` and `stime`. Source: `USER_HZ`, 100 on every Linux that this runs on.
const TICK: Duration = Duration::from_millis(10);

/// The processes of the product: the kernel keeps 15 letters of a name.
pub const PRODUCT: &[&str] = &["strongroom-api", "strongroom-work", "postgres", "redis-server"];
pub const DATABASE: &[&str] = &["postgres"];
/// Our own hidden subcommands.
pub const LIMIT: &[&str] = &["bench"];

/// The numbers of one `/proc/<pid>/stat`.
struct Stat {
    name: String,
    parent: u32,
    ticks: u64,
}

impl Stat {
    /// The name stands in parentheses and may hold anything; fields are counted from behind it.
    fn parse(text: &str) -> Option<Self> {
        let (head, tail) = text.rsplit_once(") ")?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
        Some(Self {
            name: name.to_owned(),
            parent: u32::try_from(number(1)?).ok()?,
            // Own time, and that of children that have ended: PostgreSQL's backends come and go.
            ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        })
    }
}

fn processes() -> HashMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, Stat::parse(&text)?))
        })
        .collect()
}

/// CPU time that our descendants of these names have used so far.
pub fn spent(names: &[&str]) -> Duration {
    let all = processes();
    let own = std::process::id();
    let ticks: u64 = all
        .iter()
        .filter(|(pid, stat)| names.contains(&stat.name.as_str()) && descends(&all, **pid, own))
        .map(|(_, stat)| stat.ticks)
        .sum();
    TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

fn descends(all: &HashMap<u32, Stat>, pid: u32, from: u32) -> bool {
    let mut at = pid;
    while let Some(stat) = all.get(&at) {
        if stat.parent == from {
            return true;
        }
        at = stat.parent;
    }
    false
}

/// CPU time that this process has used so far.
pub fn own() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(") ").map_or("", |(_, tail)| tail).split_whitespace();
    let ticks: u32 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    TICK * ticks
}

/// Resident memory of a process, MiB.
pub fn resident_mib(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// `AMD EPYC, 2 cores, Linux 6.1`.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown CPU", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {} cores, Linux {}", cores(), kernel.trim())
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// The load of the last minute: what else runs here.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

/// CPU time of our own children that have ended.
pub fn children() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(") ").map_or("", |(_, tail)| tail).split_whitespace();
    let ticks: u32 = fields
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    TICK * ticks
}
