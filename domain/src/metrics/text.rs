//! The text format. Source: Prometheus, exposition formats, version 0.0.4.

use std::fmt::Write as _;

use super::{Family, Figure};

/// Adds a family to the page.
pub(super) fn family(page: &mut String, name: &str, family: &Family) {
    let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
    let _ = writeln!(page, "# HELP {name} {help}");
    let _ = writeln!(page, "# TYPE {name} {}", family.kind);
    for (labels, figure) in &family.figures {
        match figure {
            Figure::Counter(counter) => {
                let _ = writeln!(page, "{name}{} {}", braces(labels, None), counter.get());
            }
            Figure::Gauge(gauge) => {
                let _ = writeln!(page, "{name}{} {}", braces(labels, None), number(gauge.get()));
            }
            Figure::Histogram(histogram) => {
                let mut count = 0;
                for (bound, up_to) in histogram.cumulative() {
                    let labels = braces(labels, Some(&number(bound)));
                    let _ = writeln!(page, "{name}_bucket{labels} {up_to}");
                    count = up_to;
                }
                let labels = braces(labels, None);
                let _ = writeln!(page, "{name}_sum{labels} {}", number(histogram.sum()));
                let _ = writeln!(page, "{name}_count{labels} {count}");
            }
        }
    }
}

/// `{name="value",le="bound"}`; nothing when there are no labels.
fn braces(labels: &[(String, String)], bound: Option<&str>) -> String {
    let mut parts: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    parts.extend(bound.map(|bound| format!("le=\"{bound}\"")));
    if parts.is_empty() {
        return String::new();
    }
    format!("{{{}}}", parts.join(","))
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

fn number(value: f64) -> String {
    if value.is_infinite() {
        let sign = if value > 0.0 { '+' } else { '-' };
        return format!("{sign}Inf");
    }
    value.to_string()
}
