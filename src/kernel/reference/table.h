/* The rows of a table filled with the reference kernels. */
/* clang-format off */
.put_bytes = put_bytes, .put_f32 = put_f32, .put_f64 = put_f64, .get_f32 = get_f32, .get_f64 = get_f64, .fill = fill,
.copy = copy, .scale = scale, .sum = sum, .multiply = multiply, .activate = activate, .activate_back = activate_back,
.dropout = dropout, .norm = norm, .norm_back = norm_back, .norm_back_parameters = norm_back_parameters,
.rope_angles = rope_angles, .rope = rope, .rope_back = rope_back,
.product = product, .product_workspace = product_workspace, .to_bf16 = to_bf16, .column_sum = column_sum, .packed_bytes = packed_bytes, .pack = pack, .product_rows = product_rows,
.packed_bytes_bf16 = packed_bytes_bf16, .pack_bf16 = pack_bf16, .product_rows_bf16 = product_rows_bf16,
.product_rows_bf16_workspace = product_rows_bf16_workspace,
.gather = gather, .gather_back = gather_back, .recall = recall, .recall_keep = recall_keep, .recall_workspace = recall_workspace, .ngram_find = ngram_find, .ngram_note = ngram_note, .cross_entropy = cross_entropy, .legendre_scan = legendre_scan,
.legendre_memory = legendre_memory, .legendre_memory_back = legendre_memory_back,
.legendre_convolve = legendre_convolve, .legendre_convolve_back = legendre_convolve_back,
.legendre_convolve_workspace = legendre_convolve_workspace,
.implicit_states = implicit_states, .implicit_states_back = implicit_states_back,
.implicit_attention = implicit_attention, .implicit_attention_back = implicit_attention_back,
.legendre_workspace = legendre_workspace, .causal_attention_workspace = causal_attention_workspace, .causal_attention = causal_attention, .attention_keep = attention_keep,
.causal_attention_back = causal_attention_back, .lstm = lstm, .lstm_back = lstm_back, .lstm_workspace = lstm_workspace, .sum_squares = sum_squares, .adamw = adamw,
.momentum = momentum, .newton_schulz = newton_schulz, .descend = descend,
    /* clang-format on */
