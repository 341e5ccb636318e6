/* A layer of long short-term memory. */
#include <math.h>

#include "nn/nn.h"

Tensor *nn_lstm(Graph *g, Tensor *x, int64_t hidden, const char *name)
{
    if (!graph_ready(g, 1, &x))
        return NULL;
    graph_scope(g, "%s", name);
    Tensor *z = nn_linears(g, x, 4, hidden, true, "input");
    Init init = {INIT_UNIFORM, 1 / sqrt((double)hidden)};
    Tensor *recurrent = graph_param(g, "recurrent.weight", 2, (int64_t[]){4 * hidden, hidden}, init, PARAM_MATRIX);
    Tensor *y = op_lstm(g, z, nn_stacked(recurrent, 4));
    graph_scope_end(g);
    return y;
}
