/* Prints Abar, row by row, and Bbar of a Legendre system, one number a line: print_legendre ORDER THETA SCALED(0|1) */
#include <stdio.h>
#include <stdlib.h>

#include "kernel/legendre_system.h"

int main(int count, char **argument)
{
    if (count != 4) {
        fprintf(stderr, "usage: print_legendre ORDER THETA 0|1\n");
        return 2;
    }
    static double abar[LEGENDRE_ORDER_LIMIT * LEGENDRE_ORDER_LIMIT], bbar[LEGENDRE_ORDER_LIMIT];
    int64_t order = strtoll(argument[1], NULL, 10);
    double theta = strtod(argument[2], NULL);
    if (legendre_discretise(order, theta, argument[3][0] == '1', abar, bbar) != LMU_OK) {
        fprintf(stderr, "%s\n", lmu_error_message());
        return 1;
    }
    for (int64_t i = 0; i < order * order; i++)
        printf("%.17g\n", abar[i]);
    for (int64_t i = 0; i < order; i++)
        printf("%.17g\n", bbar[i]);
    return 0;
}
