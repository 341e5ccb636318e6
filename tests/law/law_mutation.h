/* Operators broken on purpose, to see that the laws notice. */
#ifndef TESTS_LAW_MUTATION_H
#define TESTS_LAW_MUTATION_H

#include "law.h"

#define MUTATIONS 20

/* The ways to break the operator of a case that apply to it. */
int mutations_of(const LawCase *law, Mutation list[MUTATIONS]);

/* The first law that fails; NULL if all hold in spite of the mutation. */
const char *mutation_caught(const LawCase *law, const Mutation *mutation);

#endif
