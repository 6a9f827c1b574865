/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The prose of xdnat help. tests/netns/test_examples.py runs the examples in it.
 */
#ifndef XDNAT_HELP_TOPIC_H
#define XDNAT_HELP_TOPIC_H

struct help_topic {
	const char *name;
	const char *help; /* one line */
	const char *text;
};
extern const struct help_topic help_topics[]; /* ends with an empty row */

#endif
