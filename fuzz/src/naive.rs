//! The rules for names and filters (section 4.7) as one would say them, without a thought for time.

/// Whether `filter` matches `topic`.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let filter: Vec<&str> = filter.split('/').collect();
    let levels: Vec<&str> = topic.split('/').collect();
    if topic.starts_with('$') && ["+", "#"].contains(&filter[0]) {
        return false;
    }
    levels_match(&filter, &levels)
}

fn levels_match(filter: &[&str], levels: &[&str]) -> bool {
    match (filter, levels) {
        (["#"], _) => true,
        ([], []) => true,
        (["+", filter @ ..], [_, levels @ ..]) => levels_match(filter, levels),
        ([wanted, filter @ ..], [level, levels @ ..]) => wanted == level && levels_match(filter, levels),
        _ => false,
    }
}

/// Whether it is a Topic Filter, a Shared Subscription's too.
pub(crate) fn is_filter(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    if levels[0] != "$share" {
        return is_text(text) && are_levels_of_filter(&levels);
    }
    is_text(text)
        && levels.len() >= 3
        && !levels[1].is_empty()
        && !levels[1].contains(['+', '#'])
        && are_levels_of_filter(&levels[2..])
}

/// Whether it is a Topic Name.
pub(crate) fn is_name(text: &str) -> bool {
    is_text(text) && !text.is_empty() && !text.contains(['+', '#'])
}

fn is_text(text: &str) -> bool {
    text.len() <= 65_535 && !text.contains('\0')
}

fn are_levels_of_filter(levels: &[&str]) -> bool {
    let last = levels.len() - 1;
    levels != [""]
        && levels.iter().enumerate().all(|(index, level)| match *level {
            "#" => index == last,
            "+" => true,
            level => !level.contains(['+', '#']),
        })
}
